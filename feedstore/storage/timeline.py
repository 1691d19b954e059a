"""The timeline storage's contract."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar, overload

from feedstore.errors import ActivityNotFound
from feedstore.ids import ActivityLike, id_to_text
from feedstore.metrics import Metrics
from feedstore.serializers import Serializer, TimelineReferenceSerializer
from feedstore.shown import WHOLE_KEY, shown
from feedstore.storage.activity import ActivityStorage, checked_activity_storage
from feedstore.storage.bounds import EVERYTHING, Bounds, Filter, is_descending, parse_filter
from feedstore.storage.checks import check_key, check_limit, check_slice
from feedstore.storage.page import EntryColumns, Page, cursor_bounds
from feedstore.storage.timeline_bulk_reads import TimelineBulkReads
from feedstore.storage.timeline_hooks import Entry, TimelineItem

_Hydrated = TypeVar("_Hydrated")


class TimelineStorage(TimelineBulkReads[TimelineItem]):
    """A storage of timelines: for each key, entries in the order of their ids, newest first.

    An entry is an id, and a payload if the serializer returns one. With the default serializer,
    :class:`~feedstore.serializers.TimelineReferenceSerializer`, entries have no payloads, and slices are hydrated from
    an activity storage. A key is a str of 1 to 1,024 bytes in UTF-8, of any characters. An argument that names an entry
    may be an activity, an :class:`~feedstore.activity.ActivityRef`, an int, a UUID or the str of a UUID.

    The numbered rules of the contract:

    - T1 Adding returns the number of newly stored ids. Adding an existing id replaces its payload and counts 0. If a
      call holds an id twice, the last value wins. Removing returns the number of ids that existed. ``add_to_many``
      counts deliveries, before trimming.
    - T2 Ids are returned as ints.
    - T3 Ids of one millisecond keep their order. Filters are exact, also at 0 and at 2**128 - 1.
    - T4 No call changes its arguments.
    - T5 Each filter, ordering and option is honoured or refused, never ignored.
    - T6 A negative start, stop or length raises a ``ValueError``.
    - T7 Slices are those of a Python list.
    - T8 ``trim`` keeps exactly ``length`` entries, also if one batch added them all. It returns the number of removed
      entries.
    - T9 ``index_of`` of an absent id raises a ``ValueError``.
    - T10 Two namespaces share no data. Two storages in one namespace share all data.
    - T11 Each call returns its own copy of every mutable object.
    - T12 A hydrated slice leaves out removed activities.
    - T13 A call checks and serializes all items before it sends the first. If the server fails during a call that is
      not atomic, some chunks of the call may be stored.
    - T14 A stored payload that cannot be decoded raises :class:`StoredDataError`, which names its id.
    - T15 ``flush`` empties only its own namespace.
    - T16 A walk by cursor returns every entry exactly once that is present during the whole walk and not older than the
      floor at its end.
    - T17 After ``add_to_many(…, max_length=n)`` a timeline holds all of its newest n entries.

    The floor of a timeline is None if it was never trimmed. Otherwise every trimmed entry is older than the floor, and
    every entry at or above it that was added and not removed is present. Only ``delete`` and ``flush`` lower a floor.
    Entries that are added below it later are returned, and the page is not complete.

    An absent key reads as an empty timeline. Every write takes ``batch_interface=`` and then returns None. Counts are
    None without the ability of exact counts, and a lower bound after a retried write. With the option ``notifier`` each
    add, removal, trim and delete publishes the changed timelines after it is stored, which costs one more round trip. A
    removal that is known to have removed nothing publishes nothing, and neither does a ``flush``.

    Concurrent adds commute. All other writes take effect one after the other, in some order.

    >>> from feedstore import Activity, connect
    >>> timelines = connect("memory://").timeline_storage()
    >>> like = Activity("ann", "like", "photo:7")
    >>> timelines.add_to_many(["feed:bob", "feed:eve"], [like], max_length=800)
    2
    >>> timelines.get_slice("feed:bob", 0, 25) == [like.reference]
    True
    """

    default_serializer_class: type[Serializer] = TimelineReferenceSerializer

    @overload
    def get_slice(
        self,
        key: str,
        start: int | None,
        stop: int | None,
        filter_kwargs: Filter | None = None,
        ordering_args: Sequence[str] | None = None,
        hydrate_from: None = None,
    ) -> list[TimelineItem]: ...

    @overload
    def get_slice(
        self,
        key: str,
        start: int | None,
        stop: int | None,
        filter_kwargs: Filter | None = None,
        ordering_args: Sequence[str] | None = None,
        hydrate_from: ActivityStorage[_Hydrated] = ...,
    ) -> list[_Hydrated]: ...

    def get_slice(
        self,
        key: str,
        start: int | None,
        stop: int | None,
        filter_kwargs: Filter | None = None,
        ordering_args: Sequence[str] | None = None,
        hydrate_from: ActivityStorage[Any] | None = None,
    ) -> list[Any]:
        """Return the entries at the positions from ``start`` to before ``stop``, as a Python list slices them (T7).

        One round trip; two if the slice is hydrated and the store cannot do it in one. O(log n + stop - start), but a
        deep ``start`` may cost O(start): walk with :meth:`get_page` instead.

        Args:
            start: a position within the filtered entries; None is 0.
            stop: the position after the last one; None is the end. A negative position is a ``ValueError`` (T6).
            filter_kwargs: bounds such as ``{"activity_id__lt": id}`` with ``lt lte gt gte``, exact at both ends of the
                ids (T3). An unknown filter is a ``ValueError`` (T5).
            ordering_args: newest first; with ``("activity_id",)`` oldest first.
            hydrate_from: an activity storage. The call then returns its activities and leaves out deleted ones (T12).
                Otherwise it returns the serializer's objects, :class:`ActivityRef` by default.
        """
        first, last = check_slice(start, stop)
        # Most reads have neither a filter nor an ordering, and save these calls.
        bounds = EVERYTHING if filter_kwargs is None else parse_filter(filter_kwargs, self.activity_to_id)
        descending = ordering_args is None or is_descending(ordering_args)
        check_key(key)
        if hydrate_from is not None:
            return self._get_hydrated(hydrate_from, key, first, last, bounds, descending)[0]
        entries: list[Entry] = []
        if last is not None and first >= last:
            self.session.check_open()
        elif self.metrics.__class__ is Metrics:
            return self._serializer.loads_many(self._get_slice(key, first, last, bounds, descending))
        else:
            entries = self._read(self._get_slice, key, first, last, bounds, descending)
        self.metrics.on_storage_read(self.__class__, len(entries))
        return self._serializer.loads_many(entries)

    @overload
    def get_page(
        self,
        key: str,
        limit: int,
        cursor: str | None = None,
        ordering_args: Sequence[str] | None = None,
        hydrate_from: None = None,
    ) -> Page[TimelineItem]: ...

    @overload
    def get_page(
        self,
        key: str,
        limit: int,
        cursor: str | None = None,
        ordering_args: Sequence[str] | None = None,
        hydrate_from: ActivityStorage[_Hydrated] = ...,
    ) -> Page[_Hydrated]: ...

    def get_page(
        self,
        key: str,
        limit: int,
        cursor: str | None = None,
        ordering_args: Sequence[str] | None = None,
        hydrate_from: ActivityStorage[Any] | None = None,
    ) -> Page[Any]:
        """Return up to ``limit`` entries after ``cursor`` as a :class:`Page`; None is the start of the ordering.

        A walk by ``next_cursor`` returns exactly once every entry that is present throughout the walk and not older
        than the floor at its end, and no entry twice, also while others add and trim (T16). As many round trips as
        :meth:`get_slice`, at most one more for the floor; O(log n + limit) at any depth.

        Raises:
            InvalidCursorError: The cursor was altered, or belongs to the other ordering.
            InvalidValueError: The limit is below 1.
        """
        check_limit("limit", limit)
        descending = is_descending(ordering_args)
        bounds = cursor_bounds(cursor, descending)
        check_key(key)
        if hydrate_from is not None:
            items, ids = self._get_hydrated(hydrate_from, key, 0, limit + 1, bounds, descending, limit)
            last_id = ids[limit - 1] if len(ids) > limit else None
            floor = self._read(self._floor, key)
        else:
            entries, floor = self._read(self._get_page, key, limit + 1, bounds, descending)
            last_id = entries[limit - 1][0] if len(entries) > limit else None
            items = self._serializer.loads_many(entries[:limit])
            if self.metrics.__class__ is not Metrics:
                self.metrics.on_storage_read(self.__class__, len(items))
        return Page.of(items, last_id, floor, descending)

    def get_columns(self, key: str, limit: int, filter_kwargs: Filter | None = None) -> EntryColumns:
        """Return the newest ``limit`` entries within a filter as a column of ids and a column of payloads (T23).

        It is for programs that group or count many entries by their payloads: no object is made for an entry, and the
        serializer does not decode the payloads. If the serializer reads no payloads, they may be empty. It has the
        round trips of :meth:`get_page`, and the same floor.

        Args:
            key: The timeline.
            limit: The maximum number of entries.
            filter_kwargs: Bounds as for :meth:`get_slice`.
        """
        check_limit("limit", limit)
        bounds = EVERYTHING if filter_kwargs is None else parse_filter(filter_kwargs, self.activity_to_id)
        columns = self._read(self._get_columns, check_key(key), limit, bounds)
        if self.metrics.__class__ is not Metrics:
            self.metrics.on_storage_read(self.__class__, len(columns))
        return columns

    def index_of(self, key: str, activity_or_id: ActivityLike) -> int:
        """Return the position of an entry, newest first: the number of newer entries.

        Raises :class:`ActivityNotFound`, a ``ValueError``, if it is not there (T9). One round trip; O(log n) in memory,
        O(position) elsewhere unless the backend's documentation gives a better cost.
        """
        activity_id = self.activity_to_id(activity_or_id)
        position = self._read(self.get_index_of, check_key(key), activity_id)
        if self.metrics.__class__ is not Metrics:
            self.metrics.on_storage_read(self.__class__, 0 if position is None else 1)
        if position is None:
            raise ActivityNotFound(f"the timeline {shown(key, WHOLE_KEY)} holds no activity {id_to_text(activity_id)}")
        return position

    def contains(self, key: str, activity_id: ActivityLike) -> bool:
        """Return whether a timeline holds an activity. One round trip."""
        return self._contains(check_key(key), self.activity_to_id(activity_id))

    def contains_many(self, key: str, activity_ids: Iterable[ActivityLike]) -> set[int]:
        """Return the subset of the ids that a timeline holds (T18), with a bounded number of round trips."""
        distinct = list(dict.fromkeys(self.activities_to_ids(activity_ids)))
        check_key(key)
        if not distinct:
            self.session.check_open()
            return set()
        return self._contains_many(key, distinct)

    def count(self, key: str, filter_kwargs: Filter | None = None) -> int:
        """Return the number of entries of a timeline, within ``filter_kwargs`` if given; 0 for an absent key.

        One round trip. With a filter (T18) it costs O(log n) or O(result), as the backend's documentation says.
        """
        if filter_kwargs is None:
            return self._count(check_key(key))
        bounds = parse_filter(filter_kwargs, self.activity_to_id)
        check_key(key)
        if bounds.is_everything:
            return self._count(key)
        if bounds.is_empty:
            self.session.check_open()
            return 0
        return self._count_within(key, bounds)

    def keys(self) -> Iterator[str]:
        """Yield the key of every timeline that holds an entry, once each, in no promised order.

        For statistics and export. A timeline that is added or removed during the walk may be left out. Reads in chunks;
        the cost is proportional to the number of keys in the namespace.
        """
        return self._keys()

    def get_bodies(
        self, key: str, count: int, bounds: Bounds, descending: bool, activities: ActivityStorage[Any]
    ) -> list[tuple[int, bytes | None]]:
        """Return the ids of the first ``count`` entries within bounds, each with the bytes of its activity.

        The bytes are not decoded, for callers that need only some of the activities. Those of a deleted activity are
        None, so the result is shorter than ``count`` only at the end of the bounds. It costs as much as a hydrated
        slice.
        """
        entries: list[tuple[int, bytes | None]] = self._read(
            self._get_hydrated_slice, activities, key, 0, count, bounds, descending
        )
        if self.metrics.__class__ is not Metrics:
            self.metrics.on_storage_read(self.__class__, len(entries))
        return entries

    def _get_hydrated(
        self,
        activities: ActivityStorage[Any],
        key: str,
        start: int,
        stop: int | None,
        bounds: Bounds,
        descending: bool,
        limit: int | None = None,
    ) -> tuple[list[Any], list[int]]:
        """Return the activities of the first ``limit`` entries of a slice, and the ids of all its entries."""
        entries: list[tuple[int, bytes | None]] = []
        checked_activity_storage(activities)
        if stop is None or start < stop:
            entries = self._read(self._get_hydrated_slice, activities, key, start, stop, bounds, descending)
        else:
            self.session.check_open()
        present = [(activity_id, data) for activity_id, data in entries[:limit] if data is not None]
        if self.metrics.__class__ is not Metrics:
            self.metrics.on_storage_read(self.__class__, len(present))
        return activities.serializer.loads_many(present), [activity_id for activity_id, _ in entries]
