"""Aggregated activities: groups of activities that a feed shows as one item."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Self

from feedstore.activity import Activity
from feedstore.ids import id_to_text


@dataclass(frozen=True, slots=True)
class AggregatedActivity:
    """A group of activities, such as the likes of one photo on one day.

    - ``id`` is made of the feed's key and of the group, so it stays the same while the group grows.
    - ``group`` is the group's name, which the aggregator returned for its activities. If it now returns another name or
      fails, ``group`` is the stored hash of the name in hexadecimal digits.
    - ``activities`` are the newest members, newest first, up to the ``shown_per_group`` of the feed.
    - ``activity_count`` counts all members that the feed holds. If ``activity_count_is_exact`` is False, the feed has
      dropped older members, and the count is the least that it can be.
    - ``created_at`` and ``updated_at`` are the times of the oldest and of the newest member.
    - ``is_seen`` and ``is_read`` are None unless a notification feed returned the group.
    - ``newest_id`` is the id of the newest member, whose activity may be gone from the activity storage. It is None
      unless a feed returned the group, and takes no part in comparisons.
    """

    id: int
    group: str
    activities: tuple[Activity, ...]
    activity_count: int
    activity_count_is_exact: bool
    created_at: datetime
    updated_at: datetime
    is_seen: bool | None = None
    is_read: bool | None = None
    newest_id: int | None = field(default=None, compare=False, repr=False)

    @property
    def serialization_id(self) -> int:
        """The id, under the name that storages read."""
        return self.id

    @property
    def last_activity(self) -> Activity:
        """The newest member that is stored."""
        return self.activities[0]

    @property
    def verb(self) -> str:
        """The verb of the newest member."""
        return self.activities[0].verb

    @property
    def verbs(self) -> list[str]:
        """The distinct verbs of ``activities``, that of the newest first."""
        return list(dict.fromkeys(activity.verb for activity in self.activities))

    @property
    def actor_ids(self) -> list[str | int]:
        """The distinct actors of ``activities``, in the order of their newest activity."""
        return list(dict.fromkeys(activity.actor for activity in self.activities))

    @property
    def object_ids(self) -> list[str | int]:
        """The distinct objects of ``activities``, in the order of their newest activity."""
        objects = (activity.object for activity in self.activities)
        return list(dict.fromkeys(one for one in objects if one is not None))

    @property
    def other_activity_count(self) -> int:
        """The number of members that are not in ``activities``."""
        return self.activity_count - len(self.activities)

    @property
    def actor_count(self) -> int:
        """The number of actors, an estimate unless :attr:`actor_count_is_exact` is True.

        If several members are in ``activities`` and all have one actor, it is 1. Otherwise each member outside of
        ``activities`` counts as one more actor.
        """
        if len(self.actor_ids) == 1 and len(self.activities) > 1:
            return 1
        return len(self.actor_ids) + self.other_activity_count

    @property
    def object_count(self) -> int:
        """The number of objects, an estimate unless ``activities`` are all members.

        If ``activities`` have several objects, each member outside of them counts as one more object.
        """
        objects = len(self.object_ids)
        return objects + self.other_activity_count if objects > 1 else objects

    @property
    def other_actor_count(self) -> int:
        """:attr:`actor_count` without the actor of the newest member."""
        return self.actor_count - 1

    def to_dict(self, render: Callable[[Self], str] | None = None) -> dict[str, Any]:
        """Return the fields and properties by name as JSON values; activities as :meth:`Activity.to_dict` returns them.

        Args:
            render: Returns the sentence of the group, such as :meth:`feedstore.rendering.SentenceRenderer.render`; its
                result becomes the field ``sentence``.
        """
        values: dict[str, Any] = {
            "id": id_to_text(self.id),
            "group": self.group,
            "verb": self.verb,
            "verbs": self.verbs,
            "actor_ids": self.actor_ids,
            "actor_count": self.actor_count,
            "actor_count_is_exact": self.actor_count_is_exact,
            "object_ids": self.object_ids,
            "object_count": self.object_count,
            "activity_count": self.activity_count,
            "activity_count_is_exact": self.activity_count_is_exact,
            "created_at": self.created_at.isoformat(),
            "updated_at": self.updated_at.isoformat(),
            "is_seen": self.is_seen,
            "is_read": self.is_read,
            "activities": [activity.to_dict() for activity in self.activities],
        }
        if render is not None:
            values["sentence"] = render(self)
        return values

    @property
    def actor_count_is_exact(self) -> bool:
        """Whether ``activities`` are all members, so that :attr:`actor_count` counts each actor once."""
        return self.activity_count_is_exact and self.other_activity_count == 0


_SETTERS: tuple[Callable[[AggregatedActivity, Any], None], ...] = tuple(
    AggregatedActivity.__dict__[one.name].__set__ for one in fields(AggregatedActivity)
)
_set_id, _set_group, _set_activities, _set_count, _set_is_exact = _SETTERS[:5]
_set_created_at, _set_updated_at, _set_is_seen, _set_is_read, _set_newest_id = _SETTERS[5:]


def new_group(
    group_id: int,
    group: str,
    activities: tuple[Activity, ...],
    activity_count: int,
    activity_count_is_exact: bool,
    created_at: datetime,
    updated_at: datetime,
    is_seen: bool | None,
    is_read: bool | None,
    newest_id: int,
) -> AggregatedActivity:
    """Return an aggregated activity in half of the time that the constructor of a frozen dataclass takes."""
    made = object.__new__(AggregatedActivity)
    _set_id(made, group_id)
    _set_group(made, group)
    _set_activities(made, activities)
    _set_count(made, activity_count)
    _set_is_exact(made, activity_count_is_exact)
    _set_created_at(made, created_at)
    _set_updated_at(made, updated_at)
    _set_is_seen(made, is_seen)
    _set_is_read(made, is_read)
    _set_newest_id(made, newest_id)
    return made
