"""The writing half of all feeds: keys, adds, removals and trims."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any, ClassVar, Self, TypeVar

from feedstore.activity import Activity
from feedstore.errors import InvalidValueError
from feedstore.feeds.key_format import KeyFormat, UserId
from feedstore.forks import unlocked_property
from feedstore.ids import ActivityLike
from feedstore.metrics import Metrics
from feedstore.serializers import Serializer
from feedstore.serializers.reference import IdSerializer
from feedstore.storage import ActivityStorage, AtomicScope, Backend, Batch, Storage, TimelineStorage
from feedstore.storage.backend import checked_backend
from feedstore.storage.call_log import logger
from feedstore.storage.checks import check_key, check_limit, check_position, checked_iterable

_Storage = TypeVar("_Storage", bound=Storage[Any])


class FeedWrites:
    """The names of a feed on its backend, and the writes to it."""

    key_format: ClassVar[str] = "feed:{user_id}"
    """The format of the timeline's key; see :class:`~feedstore.feeds.KeyFormat`."""
    max_length: ClassVar[int | None] = 800
    """The number of newest entries that each write leaves; None keeps all."""
    max_per_group: ClassVar[int | None] = None
    companions: ClassVar[tuple[str, ...]] = ()
    serializer_class: ClassVar[type[Serializer] | None] = None
    activity_class: ClassVar[type[Activity]] = Activity
    publishes: ClassVar[bool] = False
    """Whether each write notifies the subscribers of the feed, which costs one more round trip."""
    timeline_name: ClassVar[str] = "default"
    """The collection of timelines that holds the feed."""
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

    @classmethod
    def at_key(cls, key: str, backend: Backend) -> Self:
        """Return the feed whose timeline has a key, for programs that know keys but not users.

        Its ``user_id`` is the key.
        """
        feed = cls("unknown", backend)
        feed.user_id = feed.key = check_key(key)
        return feed

    @unlocked_property
    def timelines(self) -> TimelineStorage[Any]:
        """The storage of the feed's timeline."""
        return self._timelines_of(self.backend)

    @unlocked_property
    def _ids(self) -> TimelineStorage[int]:
        """The storage of the feed's timelines for reads of ids alone, which fetch no payloads."""
        make: Callable[[], Any] = partial(self.backend.timeline_storage, IdSerializer, name=self.timeline_name)
        storage: TimelineStorage[int] = _shared(self.backend, make, IdSerializer, self.timeline_name)
        return storage

    @unlocked_property
    def activities(self) -> ActivityStorage[Any]:
        """The storage of the activities that the feed's entries refer to."""
        kind, name = self.activity_class, self.activity_name
        return _shared(self.backend, partial(self.backend.activity_storage, activity_class=kind, name=name), kind, name)

    @classmethod
    def _timelines_of(cls, backend: Backend) -> TimelineStorage[Any]:
        def make() -> TimelineStorage[Any]:
            notifier = backend.notifier(cls.timeline_name) if cls.publishes else None
            return backend.timeline_storage(
                cls.serializer_class, cls.activity_class, name=cls.timeline_name, notifier=notifier
            )

        return _shared(backend, make, cls.serializer_class, cls.activity_class, cls.timeline_name, cls.publishes)

    @classmethod
    def _entries_of(cls, activities: list[Any]) -> list[Any]:
        """Return the entries that the timeline storage takes for activities."""
        return activities

    @classmethod
    def _limits(cls, trim: bool = True) -> dict[str, Any]:
        """Return the limits of an add; ``trim`` says whether it applies that of the length."""
        return {
            "max_length": cls.max_length if trim else None,
            "max_per_payload": cls.max_per_group,
            "companions": cls.companions,
        }

    def _companion_keys(self) -> list[str]:
        return [self.key + suffix for suffix in self.companions]

    def insert_activity(self, activity: Activity, *, batch_interface: Batch | None = None) -> int | None:
        """Store an activity, so that entries may refer to it. One round trip."""
        return self.activities.add(activity, batch_interface=batch_interface)

    def insert_activities(self, activities: Iterable[Activity], *, batch_interface: Batch | None = None) -> int | None:
        """Store activities, so that entries may refer to them. One round trip for each 500 or so."""
        return self.activities.add_many(activities, batch_interface=batch_interface)

    def remove_activity(self, activity: ActivityLike, *, batch_interface: Batch | None = None) -> int | None:
        """Remove an activity from the activity storage. Later reads leave out the entries that refer to it."""
        return self.activities.remove(activity, batch_interface=batch_interface)

    def add(self, activity: Any, *, trim: bool = True, batch_interface: Batch | None = None) -> int | None:
        """Add an entry for one activity; see :meth:`add_many`."""
        return self.add_many([activity], trim=trim, batch_interface=batch_interface)

    def add_many(
        self, activities: Iterable[Any], *, trim: bool = True, batch_interface: Batch | None = None
    ) -> int | None:
        """Add entries for activities, trim to ``max_length``, and return the number of new entries (T1).

        Args:
            activities: The activities.
            trim: False leaves the timeline untrimmed.
            batch_interface: A batch to join; the call then returns None.
        """
        given = list(checked_iterable(activities))
        entries = self._entries_of(given)
        added = self.timelines.add_to_many(
            [self.key],
            entries,
            **self._limits(trim),
            batch_interface=batch_interface,
        )

        def report() -> None:
            metrics = self.backend.metrics
            # Metrics of the base class count nothing.
            if metrics.__class__ is not Metrics:
                metrics.on_feed_write(type(self), len(set(self.timelines.activities_to_ids(entries))))
            self.on_update_feed(given, [])

        _call_after_commit(batch_interface, report)
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
        """Add the same activities to the feeds of many users, and return the number of new entries.

        The number of round trips is bounded, however many the users. ``on_update_feed`` is not called.
        """
        metrics = checked_backend(backend).metrics
        timelines = cls._timelines_of(backend)
        entries = cls._entries_of(list(checked_iterable(activities)))
        keys = cls._keys.keys(checked_iterable(user_ids))
        with metrics.fanout_timer(cls):
            added = timelines.add_to_many(
                keys,
                entries,
                **cls._limits(),
                batch_interface=batch_interface,
            )
        if metrics.__class__ is not Metrics:
            _call_after_commit(
                batch_interface,
                lambda: metrics.on_fanout(cls, "add_to_feeds", len({*timelines.activities_to_ids(entries)})),
            )
        return added

    @classmethod
    def add_to_each_feed(
        cls,
        backend: Backend,
        deliveries: Mapping[UserId, Iterable[Any]],
        *,
        is_fan_out: bool = True,
        batch_interface: Batch | None = None,
    ) -> int | None:
        """Add to the feed of each user activities of its own, and return the number of new entries.

        The number of round trips is bounded, however many the users. ``on_update_feed`` is not called. If several users
        receive the same list, it is serialized once. With ``is_fan_out=False``, for writes to the users' own feeds, the
        metrics receive one ``on_feed_write`` for each feed, as from :meth:`add_many`.
        """
        metrics = checked_backend(backend).metrics
        timelines = cls._timelines_of(backend)
        given = {id(one): one for one in deliveries.values()}
        entries = {place: cls._entries_of(list(checked_iterable(one))) for place, one in given.items()}
        each: dict[str, list[Any]] = {}
        for key, one in zip(cls._keys.keys(deliveries), deliveries.values(), strict=True):
            # An int and the str of its digits are the same user.
            each[key] = each[key] + entries[id(one)] if key in each else entries[id(one)]
        with metrics.fanout_timer(cls) if is_fan_out else nullcontext():
            added = timelines.add_to_each(
                each,
                **cls._limits(),
                batch_interface=batch_interface,
            )

        def report() -> None:
            if is_fan_out:
                ids = set(timelines.activities_to_ids(one for some in entries.values() for one in some))
                metrics.on_fanout(cls, "add_to_each_feed", len(ids))
                return
            for some in each.values():
                metrics.on_feed_write(cls, len(set(timelines.activities_to_ids(some))))

        if metrics.__class__ is not Metrics:
            _call_after_commit(batch_interface, report)
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
        """Remove entries from the feeds of many users, and return the number of those that existed.

        The number of round trips is bounded, however many the users. The removal is not atomic: if a concurrent call
        adds one of the activities to a notification feed, the entry may stay without its marks. Pass an atomic batch
        if that matters.
        """
        metrics = checked_backend(backend).metrics
        timelines = cls._timelines_of(backend)
        ids = timelines.activities_to_ids(activities)
        keys = cls._keys.keys(checked_iterable(user_ids))
        with metrics.fanout_timer(cls):
            removed = cls._remove(timelines, keys, ids, backend.batch, batch_interface)
        _call_after_commit(batch_interface, lambda: metrics.on_fanout(cls, "remove_from_feeds", len(set(ids))))
        return removed

    def remove(self, activity: ActivityLike, *, batch_interface: Batch | None = None) -> int | None:
        """Remove the entry of one activity, given as the activity or its id; see :meth:`remove_many`."""
        return self.remove_many([activity], batch_interface=batch_interface)

    def remove_many(self, activities: Iterable[ActivityLike], *, batch_interface: Batch | None = None) -> int | None:
        """Remove entries, by activity or id, and return the number of those that existed.

        The activities themselves stay stored.
        """
        given = list(checked_iterable(activities))
        ids = self.timelines.activities_to_ids(given)
        removed = self._remove(self.timelines, [self.key], ids, self._new_batch, batch_interface)

        def report() -> None:
            self.backend.metrics.on_feed_remove(type(self), len(set(ids)))
            self.on_update_feed([], given)

        _call_after_commit(batch_interface, report)
        return removed

    @classmethod
    def _remove(
        cls,
        timelines: TimelineStorage[Any],
        keys: list[str],
        ids: list[int],
        new_batch: Callable[[], Batch],
        batch_interface: Batch | None,
    ) -> int | None:
        """Remove entries, then their marks, so that a delivery in between leaves no mark of an absent entry."""
        if not cls.companions:
            return timelines.remove_from_many(keys, ids, batch_interface=batch_interface)
        if batch_interface is None:
            with new_batch() as batch:
                cls._remove(timelines, keys, ids, new_batch, batch)
            removed: int | None = batch.results[0]
            return removed
        timelines.remove_from_many(keys, ids, batch_interface=batch_interface)
        beside = [key + suffix for key in keys for suffix in cls.companions]
        timelines.remove_from_many(beside, ids, batch_interface=batch_interface)
        return None

    def trim(self, length: int | None = None) -> int | None:
        """Keep the newest ``length`` entries, by default ``max_length``, and return the number of removed entries."""
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
        if batch_interface is None and self.companions:
            with self._new_batch() as batch:
                self.delete(batch_interface=batch)
            return
        for key in (self.key, *self._companion_keys()):
            self.timelines.delete(key, batch_interface=batch_interface)

    def _new_batch(self) -> Batch:
        """Return an atomic batch, so that a concurrent delivery comes before a removal with its marks or after it.

        On a backend without atomic batches the marks of such a delivery may stay until the next :meth:`trim`.
        """
        return self.backend.batch(atomic=self.backend.abilities.atomic_scope is not AtomicScope.NONE)

    def on_update_feed(self, new: Sequence[Any], deleted: Sequence[Any]) -> None:
        """Do nothing; override it to act on each write of this object.

        The feed calls it after each :meth:`add_many` and :meth:`remove_many` with the arguments of that call: once the
        store has answered, or once the batch has been committed.
        """


def _shared(backend: Backend, make: Callable[[], _Storage], *arguments: object) -> _Storage:
    """Return the storage that an earlier call made with the same arguments and metrics, or make it.

    A feed lives for one call of an application, and a storage takes 10 µs to make.
    """
    if logger.isEnabledFor(logging.DEBUG):
        # A storage that logs its calls costs more, and must not stay after the logger was disabled.
        return make()
    found: _Storage | None = backend.feed_storages.get(arguments)
    if found is None or found.metrics is not backend.metrics:
        found = backend.feed_storages[arguments] = make()
    return found


def _call_after_commit(batch_interface: Batch | None, callback: Callable[[], None]) -> None:
    """Call a function now, after an immediate write, or once the batch of the write has been committed."""
    if batch_interface is None:
        callback()
    else:
        batch_interface.call_after_commit(callback)
