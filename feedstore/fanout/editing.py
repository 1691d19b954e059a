"""The part of a manager that edits published activities."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from feedstore.activity import Activity
from feedstore.errors import InvalidTypeError, InvalidValueError
from feedstore.fanout.jobs import FanoutPriority, JobOperation
from feedstore.fanout.targeting import Targeting
from feedstore.ids import ActivityLike
from feedstore.shown import shown
from feedstore.storage.checks import checked_iterable


class Editing(Targeting):
    """The methods of a manager that replace stored activities."""

    def update_user_activities(self, activities: Iterable[Activity]) -> int:
        """Replace stored activities by edited ones of the same ids, and return how many there were.

        All feeds show the edit. Feeds that hold copies or groups of activities are written again, by jobs of low
        priority. An activity that is not stored is ignored.
        """
        if isinstance(activities, Mapping):
            raise InvalidTypeError(f"pass a list of activities, not the mapping {shown(activities)}")
        edited = {one.serialization_id: one for one in map(checked_activity, checked_iterable(activities))}
        stored = self.activities.get_many(edited)
        found = [edited[one.serialization_id] for one in stored]
        if not found:
            return 0
        self.publications.unindex(stored)
        self.activities.add_many(found)
        self.publications.index(found)
        if self.feeds.copying:
            self._refresh_feeds(found)
        return len(found)

    def update_user_activity(self, activity: Activity) -> int:
        """Replace one stored activity; see :meth:`update_user_activities`."""
        return self.update_user_activities([activity])

    def _refresh_feeds(self, activities: Sequence[Activity]) -> None:
        routes = self.publications.routes([one.serialization_id for one in activities])
        for activity in activities:
            own = routes[activity.serialization_id]
            sources = self._sources(str(activity.actor), activity.serialization_id, activity, own)
            users = tuple(dict.fromkeys([*sources, *(one.user for one in own)]))
            for source in sources:
                low, names = FanoutPriority.LOW, self.feeds.copying
                self._fan_out(JobOperation.REFRESH, source, [activity], users=users, priority=low, feeds=names)

    def activity_partial_update(
        self, activity: ActivityLike, *, set: Mapping[str, Any] | None = None, unset: Iterable[str] = ()
    ) -> Activity | None:
        """Change some values of the extra context of a stored activity; return the new activity, or None if absent.

        The activity is read and written again: of concurrent calls for one activity, the last one wins.

        Args:
            activity: the activity, or its id.
            set: new values by path, such as ``{"likes.count": 3}``; the dicts of a path are created.
            unset: paths of values to remove; an absent one is no error.
        """
        stored = self.activities.get(activity)
        if stored is None:
            return None
        context = changed_context(stored.stored_context, set or {}, unset)
        fields = {name: getattr(stored, name) for name in ("actor", "verb", "object", "target", "time", "foreign_id")}
        edited: Activity = type(stored)(**fields, extra_context=context, id=stored.serialization_id)
        self.update_user_activities([edited])
        return edited


def changed_context(context: Mapping[str, Any], values: Mapping[str, Any], removed: Iterable[str]) -> dict[str, Any]:
    """Return a copy of an extra context with other values by path.

    >>> changed_context({"likes": {"count": 1}, "draft": True}, {"likes.count": 2, "a.b": 0}, ["draft", "absent"])
    {'likes': {'count': 2}, 'a': {'b': 0}}
    """
    if not isinstance(values, Mapping):
        raise InvalidTypeError(f"set must be a mapping of paths to values, not {shown(values)}")
    changed: dict[str, Any] = _copied(context)
    for path, value in values.items():
        *parents, name = _parts(path)
        place = changed
        for parent in parents:
            place = place.setdefault(parent, {})
            if not isinstance(place, dict):
                raise InvalidValueError(f"the path {shown(path)} leads through {shown(parent)}, which is no dict")
        place[name] = value
    for path in checked_iterable(removed):
        *parents, name = _parts(path)
        inner: Any = changed
        for parent in parents:
            inner = inner.get(parent) if isinstance(inner, dict) else None
        if isinstance(inner, dict):
            inner.pop(name, None)
    return changed


def _copied(value: Any) -> Any:
    """Return a value with new dicts at every depth."""
    return {name: _copied(one) for name, one in value.items()} if isinstance(value, Mapping) else value


def _parts(path: Any) -> list[str]:
    if not isinstance(path, str) or not all(path.split(".")):
        raise InvalidValueError(f"a path is one or more keys of the extra context joined by dots, not {shown(path)}")
    return path.split(".")


def checked_activity(activity: Any) -> Activity:
    """Return an activity, or raise :class:`InvalidTypeError`."""
    if not isinstance(activity, Activity):
        raise InvalidTypeError(f"pass an Activity, not {shown(activity)} of type {type(activity).__name__}")
    return activity
