"""The part that all feeds share: a key, writes, filters and ordering."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any, ClassVar, Generic, NoReturn, Self, TypeVar, overload

from feedstore.activity import Activity
from feedstore.errors import InvalidTypeError, InvalidValueError, PositionNotFound
from feedstore.feeds.key_format import KeyFormat, UserId
from feedstore.ids import MAX_ID, ActivityLike, first_id_at, last_id_at
from feedstore.serializers import Serializer
from feedstore.shown import shown
from feedstore.storage import ActivityStorage, Backend, Batch, Page, Subscription, TimelineStorage
from feedstore.storage.backend import checked_backend
from feedstore.storage.bounds import (
    EVERYTHING,
    Bounds,
    Filter,
    check_limit,
    check_position,
    check_slice,
    is_descending,
    parse_filter,
)
from feedstore.storage.key import checked_iterable
from feedstore.storage.notify import RECHECK_SECONDS
from feedstore.storage.page import cursor_bounds, encode_cursor

Shown = TypeVar("Shown")


class BaseFeed(ABC, Generic[Shown]):
    """One user's feed on a backend: a timeline, and the activities that its entries refer to.

    Subclass :class:`~feedstore.feeds.Feed`, :class:`~feedstore.feeds.AggregatedFeed` or
    :class:`~feedstore.feeds.NotificationFeed` and set the attributes below. A feed object holds nothing but names, so
    make one for each request. Adding an entry for an activity does not store the activity: call
    :meth:`insert_activity` first, or both in one batch.
    """

    key_format: ClassVar[str] = "feed:{user_id}"
    """The format of the timeline's key; see :class:`~feedstore.feeds.key_format.KeyFormat`."""
    max_length: ClassVar[int | None] = 800
    """The number of newest entries that each write leaves; None keeps all."""
    max_per_group: ClassVar[int | None] = None
    companions: ClassVar[tuple[str, ...]] = ()
    serializer_class: ClassVar[type[Serializer] | None] = None
    activity_class: ClassVar[type[Activity]] = Activity
    publishes: ClassVar[bool] = False
    """Whether each write notifies the subscribers of the feed, which costs one more round trip."""
    timeline_name: ClassVar[str] = "default"
    """The collection of timelines that the feed lies in."""
    activity_name: ClassVar[str] = "default"
    """The collection of activities that its entries refer to."""
    _keys: ClassVar[KeyFormat] = KeyFormat(key_format)

    def __init_subclass__(cls, **options: Any) -> None:
        """Check the attributes of a feed class."""
        super().__init_subclass__(**options)
        cls._keys = KeyFormat(cls.key_format)
        if cls.max_length is not None:
            check_limit("max_length", cls.max_length, "; None keeps all entries")

    def __init__(self, user_id: UserId, backend: Backend) -> None:
        self.user_id = user_id
        self.backend = checked_backend(backend)
        self.key = self._keys.key(user_id)
        self._bounds = EVERYTHING
        self._descending = True

    @cached_property
    def timelines(self) -> TimelineStorage[Any]:
        """The storage of the feed's timeline."""
        return self._timelines_of(self.backend)

    @cached_property
    def activities(self) -> ActivityStorage[Any]:
        """The storage of the activities that the feed's entries refer to."""
        return self.backend.activity_storage(activity_class=self.activity_class, name=self.activity_name)

    @classmethod
    def _timelines_of(cls, backend: Backend) -> TimelineStorage[Any]:
        notifier = backend.notifier(cls.timeline_name) if cls.publishes else None
        return backend.timeline_storage(
            cls.serializer_class, cls.activity_class, name=cls.timeline_name, notifier=notifier
        )

    @classmethod
    def _entries_of(cls, activities: Iterable[Any]) -> list[Any]:
        """Return the entries that the timeline storage takes for activities."""
        return list(checked_iterable(activities))

    # Writes

    def insert_activity(self, activity: Activity, *, batch_interface: Batch | None = None) -> int | None:
        """Store an activity, so that entries may refer to it. One round trip."""
        return self.activities.add(activity, batch_interface=batch_interface)

    def insert_activities(self, activities: Iterable[Activity], *, batch_interface: Batch | None = None) -> int | None:
        """Store activities, so that entries may refer to them. One round trip for each 500 or so."""
        return self.activities.add_many(activities, batch_interface=batch_interface)

    def remove_activity(self, activity: ActivityLike, *, batch_interface: Batch | None = None) -> int | None:
        """Remove an activity from the activity storage. Entries that refer to it are left out of later reads."""
        return self.activities.remove(activity, batch_interface=batch_interface)

    def add(self, activity: Any, *, trim: bool = True, batch_interface: Batch | None = None) -> int | None:
        """Add an entry for one activity; see :meth:`add_many`."""
        return self.add_many([activity], trim=trim, batch_interface=batch_interface)

    def add_many(
        self, activities: Iterable[Any], *, trim: bool = True, batch_interface: Batch | None = None
    ) -> int | None:
        """Add entries for activities, trim to ``max_length``, and return how many entries were new (T1).

        Args:
            activities: The activities.
            trim: False leaves the timeline untrimmed.
            batch_interface: A batch to join; the call then returns None.
        """
        given = list(checked_iterable(activities))
        added = self.timelines.add_to_many(
            [self.key],
            self._entries_of(given),
            max_length=self.max_length if trim else None,
            max_per_payload=self.max_per_group,
            companions=self.companions,
            batch_interface=batch_interface,
        )
        self.backend.metrics.on_feed_write(type(self), len(given))
        self.on_update_feed(given, [])
        return added

    @classmethod
    def add_to_feeds(
        cls,
        backend: Backend,
        user_ids: Iterable[UserId],
        activities: Iterable[Any],
        *,
        batch_interface: Batch | None = None,
    ) -> int | None:
        """Add the same activities to the feeds of many users, and return how many entries were new.

        A bounded number of round trips, however many the users. ``on_update_feed`` is not called.
        """
        entries = cls._entries_of(activities)
        keys = list(map(cls._keys.key, checked_iterable(user_ids)))
        with checked_backend(backend).metrics.fanout_timer(cls):
            added = cls._timelines_of(backend).add_to_many(
                keys,
                entries,
                max_length=cls.max_length,
                max_per_payload=cls.max_per_group,
                companions=cls.companions,
                batch_interface=batch_interface,
            )
        backend.metrics.on_fanout(cls, "add_to_feeds", len(entries))
        return added

    @classmethod
    def remove_from_feeds(
        cls,
        backend: Backend,
        user_ids: Iterable[UserId],
        activities: Iterable[ActivityLike],
        *,
        batch_interface: Batch | None = None,
    ) -> int | None:
        """Remove entries from the feeds of many users, and return how many were there. A bounded number of round
        trips.
        """
        timelines = cls._timelines_of(checked_backend(backend))
        ids = timelines.activities_to_ids(activities)
        keys = list(map(cls._keys.key, checked_iterable(user_ids)))
        with backend.metrics.fanout_timer(cls):
            if cls.companions:
                beside = [key + suffix for key in keys for suffix in cls.companions]
                timelines.remove_from_many(beside, ids, batch_interface=batch_interface)
            removed = timelines.remove_from_many(keys, ids, batch_interface=batch_interface)
        backend.metrics.on_fanout(cls, "remove_from_feeds", len(ids))
        return removed

    def remove(self, activity: ActivityLike, *, batch_interface: Batch | None = None) -> int | None:
        """Remove the entry of one activity, given as the activity or its id; see :meth:`remove_many`."""
        return self.remove_many([activity], batch_interface=batch_interface)

    def remove_many(self, activities: Iterable[ActivityLike], *, batch_interface: Batch | None = None) -> int | None:
        """Remove entries, by activity or id, and return how many were there. The activities themselves stay stored."""
        given = list(checked_iterable(activities))
        ids = self.timelines.activities_to_ids(given)
        # The companions first: an interruption then never leaves a mark of an entry that is gone.
        if self.companions:
            self.timelines.remove_from_many(self._companion_keys(), ids, batch_interface=batch_interface)
        removed = self.timelines.remove_many(self.key, ids, batch_interface=batch_interface)
        self.backend.metrics.on_feed_remove(type(self), len(ids))
        self.on_update_feed([], given)
        return removed

    def trim(self, length: int | None = None) -> int | None:
        """Keep the newest ``length`` entries, by default ``max_length``, and return how many went."""
        kept = self.max_length if length is None else check_position("length", length)
        if kept is None:
            raise InvalidValueError(f"{type(self).__name__} has no max_length; pass the length to trim to")
        trimmed = self.timelines.trim(self.key, kept)
        for companion in self._companion_keys():
            self._drop_orphans(companion)
        return trimmed

    def _drop_orphans(self, companion: str) -> None:
        """Remove from a companion the entries that the feed does not hold."""
        ids = [entry.serialization_id for entry in self.timelines.get_slice(companion, 0, None)]
        orphans = set(ids) - self.timelines.contains_many(self.key, ids)
        self.timelines.remove_many(companion, orphans)

    def delete(self, *, batch_interface: Batch | None = None) -> None:
        """Remove the feed with its marks. The activities themselves stay stored."""
        for key in (*self._companion_keys(), self.key):
            self.timelines.delete(key, batch_interface=batch_interface)

    def on_update_feed(self, new: Sequence[Any], deleted: Sequence[Any]) -> None:
        """Do nothing; override it to act on each write of this object.

        The feed calls it after each :meth:`add_many` and :meth:`remove_many` with the arguments of the call. In a batch
        that is when the write joins the batch.
        """

    def _companion_keys(self) -> list[str]:
        return [self.key + suffix for suffix in self.companions]

    # Positions

    def count(self) -> int:
        """Return how many entries the feed holds within its filters. One round trip."""
        if self._bounds.is_empty:
            return 0
        return self.timelines.count(self.key, self._filter())

    def index_of(self, activity: ActivityLike) -> int:
        """Return how many entries of the feed are newer, regardless of its filters.

        Raises:
            ActivityNotFound: The feed does not hold the activity.
        """
        return self.timelines.index_of(self.key, activity)

    def contains(self, activity: ActivityLike) -> bool:
        """Return whether the feed holds an entry of an activity, regardless of its filters."""
        return self.timelines.contains(self.key, activity)

    def contains_many(self, activities: Iterable[ActivityLike]) -> set[int]:
        """Return the ids of those activities that the feed holds."""
        return self.timelines.contains_many(self.key, activities)

    __contains__ = contains

    # Filters and ordering

    def filter(self, *, since: datetime | None = None, until: datetime | None = None, **filters: ActivityLike) -> Self:
        """Return a copy of the feed that reads only some entries; filters accumulate, and all are honoured.

        Args:
            since: The time of the oldest entries, included.
            until: The time of the newest entries, included.
            **filters: ``activity_id__lt``, ``activity_id__lte``, ``activity_id__gt``, ``activity_id__gte``.
        """
        known: Any = filters
        bounds = intersection(self._bounds, parse_filter(known, self.timelines.activity_to_id))
        if since is not None:
            bounds = intersection(bounds, Bounds(lowest=first_id_at(since)))
        if until is not None:
            bounds = intersection(bounds, Bounds(highest=last_id_at(until)))
        other = copy.copy(self)
        other._bounds = bounds
        return other

    def order_by(self, *ordering: str) -> Self:
        """Return a copy of the feed in another order: ``"activity_id"`` is oldest first, ``"-activity_id"`` newest
        first.
        """
        other = copy.copy(self)
        other._descending = is_descending(ordering)
        return other

    def _filter(self) -> Filter | None:
        if self._bounds.is_everything:
            return None
        return {"activity_id__gte": max(self._bounds.lowest, 0), "activity_id__lte": min(self._bounds.highest, MAX_ID)}

    def _entry_page(
        self, limit: int, within: Bounds, descending: bool, hydrate_from: ActivityStorage[Any] | None = None
    ) -> Page[Any]:
        """Return a page of the feed's timeline that holds only entries whose ids lie in ``within``."""
        if within.is_empty:
            floor = self.timelines.get_page(self.key, 1).floor
            return Page([], None, floor is None or floor <= within.lowest, floor)
        start = None
        if descending and within.highest < MAX_ID:
            start = encode_cursor(within.highest + 1, descending)
        elif not descending and within.lowest > 0:
            start = encode_cursor(within.lowest - 1, descending)
        ordering = ("-activity_id",) if descending else ("activity_id",)
        page = self.timelines.get_page(self.key, limit, start, ordering, hydrate_from=hydrate_from)
        if within.is_everything:
            return page
        items = [item for item in page.items if within.lowest <= item.serialization_id <= within.highest]
        following = page.next_cursor
        if following is not None and intersection(within, cursor_bounds(following, descending)).is_empty:
            following = None
        return Page(items, following, following is None and _is_whole(page.floor, within), page.floor)

    # Reads

    @abstractmethod
    def page(self, limit: int, cursor: str | None = None) -> Page[Shown]:
        """Return the next ``limit`` items; ``cursor`` is the ``next_cursor`` of the page before."""

    @abstractmethod
    def _read_slice(self, start: int, stop: int | None) -> list[Shown]:
        """Return the items at some positions."""

    @overload
    def __getitem__(self, position: int) -> Shown: ...

    @overload
    def __getitem__(self, position: slice) -> list[Shown]: ...

    def __getitem__(self, position: int | slice) -> Shown | list[Shown]:
        """Return the items at positions as a Python list would; negative positions are refused."""
        if not isinstance(position, slice):
            index = check_position("the position", position)
            found = self._measured(index, index + 1)
            if not found:
                raise PositionNotFound(f"the feed {shown(self.key)} has nothing at position {index}")
            return found[0]
        if position.step is not None:
            check_limit("the step", position.step)
        start, stop = check_slice(position.start, position.stop)
        return self._measured(start, stop)[:: position.step]

    def _measured(self, start: int, stop: int | None) -> list[Shown]:
        with self.backend.metrics.feed_reads_timer(type(self)):
            items = self._read_slice(start, stop)
        self.backend.metrics.on_feed_read(type(self), len(items))
        return items

    def __iter__(self) -> NoReturn:
        raise InvalidTypeError(
            f"{type(self).__name__} cannot be iterated without bounds: read a slice such as feed[:25], or walk with "
            "feed.page(limit, cursor)"
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.user_id!r}, {self.backend!r})"

    # Changes

    def subscribe(
        self, callback: Callable[[frozenset[str]], object], *, recheck_seconds: float | None = RECHECK_SECONDS
    ) -> Subscription:
        """Return a subscription that calls ``callback`` with the keys of the feed that may have changed.

        Writes of feeds whose class sets ``publishes`` reach it without delay; others reach it with the next
        recheck. The keys are the feed's own and those of its companions.
        """
        notifier = self.backend.notifier(self.timeline_name)
        subscription = notifier.subscribe(callback, recheck_seconds=recheck_seconds)
        subscription.add([self.key, *self._companion_keys()])
        return subscription


def intersection(one: Bounds, other: Bounds) -> Bounds:
    """Return the ids that lie in both bounds."""
    return Bounds(max(one.lowest, other.lowest), min(one.highest, other.highest))


def _is_whole(floor: int | None, within: Bounds) -> bool:
    return floor is None or floor <= within.lowest
