"""The reading half of the timeline storage's contract."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar, overload

from feedstore.errors import ActivityNotFound, InvalidTypeError
from feedstore.ids import ActivityLike, id_to_text
from feedstore.shown import WHOLE_KEY, shown
from feedstore.storage.activity import ActivityStorage
from feedstore.storage.bounds import Filter, check_limit, check_slice, is_descending, parse_filter
from feedstore.storage.key import check_key, checked_iterable
from feedstore.storage.page import Page, cursor_bounds, encode_cursor
from feedstore.storage.timeline_hooks import Entry, TimelineHooks, TimelineItem, ordering_of

_Hydrated = TypeVar("_Hydrated")


class TimelineReads(TimelineHooks[TimelineItem]):
    """Slices, pages, positions. A key that is not there reads as an empty timeline."""

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
        *,
        hydrate_from: ActivityStorage[_Hydrated],
    ) -> list[_Hydrated]: ...

    @overload
    def get_slice(
        self,
        key: str,
        start: int | None,
        stop: int | None,
        filter_kwargs: Filter | None = None,
        ordering_args: Sequence[str] | None = None,
        hydrate_from: ActivityStorage[Any] | None = None,
    ) -> list[Any]: ...

    def get_slice(
        self,
        key: str,
        start: int | None,
        stop: int | None,
        filter_kwargs: Filter | None = None,
        ordering_args: Sequence[str] | None = None,
        hydrate_from: ActivityStorage[Any] | None = None,
    ) -> list[Any]:
        """Return the entries at the positions from ``start`` to before ``stop``, as a Python list would slice them
        (T7).

        Newest first, or oldest first with ``ordering_args=("activity_id",)``. Positions count within
        ``filter_kwargs``, such as ``{"activity_id__lt": id}`` with ``lt lte gt gte``, exact at both ends of the ids
        (T3); a start of None is 0, a stop of None the end. An unknown filter or ordering and a negative position are a
        ``ValueError`` (T5, T6).

        Returns what the serializer makes, :class:`ActivityRef` by default. With ``hydrate_from``, an activity storage,
        it returns the activities; those that are gone are left out (T12). One round trip, hydrated one where the store
        can and two elsewhere; O(log n + stop - start), but a deep ``start`` may cost O(start): walk with
        :meth:`get_page` instead.
        """
        first, last = check_slice(start, stop)
        bounds = parse_filter(filter_kwargs, self.activity_to_id)
        descending = is_descending(ordering_args)
        check_key(key)
        if hydrate_from is not None:
            return self._get_hydrated(hydrate_from, key, first, last, bounds, descending)[0]
        entries: list[Entry] = []
        if last is None or first < last:
            entries = self._read(self.get_slice_from_storage, key, first, last, bounds, ordering_of(descending))
        else:
            self.backend.check_open()
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
        *,
        hydrate_from: ActivityStorage[_Hydrated],
    ) -> Page[_Hydrated]: ...

    @overload
    def get_page(
        self,
        key: str,
        limit: int,
        cursor: str | None = None,
        ordering_args: Sequence[str] | None = None,
        hydrate_from: ActivityStorage[Any] | None = None,
    ) -> Page[Any]: ...

    def get_page(
        self,
        key: str,
        limit: int,
        cursor: str | None = None,
        ordering_args: Sequence[str] | None = None,
        hydrate_from: ActivityStorage[Any] | None = None,
    ) -> Page[Any]:
        """Return up to ``limit`` entries behind ``cursor`` (None: from the start of the ordering) as a :class:`Page`.

        A walk by ``next_cursor`` returns exactly once every entry that is present throughout it and not older than the
        floor at its end, and none twice, whatever is added or trimmed meanwhile (T16). A cursor that was altered, or
        belongs to the other ordering, is an :class:`InvalidCursorError`; a limit below 1 is a ``ValueError``. Round
        trips as :meth:`get_slice`, at most one more for the floor; O(log n + limit) at any depth.
        """
        check_limit("limit", limit)
        descending = is_descending(ordering_args)
        bounds = cursor_bounds(cursor, descending)
        check_key(key)
        if hydrate_from is not None:
            items, ids = self._get_hydrated(hydrate_from, key, 0, limit + 1, bounds, descending, limit)
            floor = self._read(self._floor, key)
        else:
            entries, floor = self._read(self._get_page, key, limit + 1, bounds, descending)
            ids = [activity_id for activity_id, _ in entries]
            items = self._serializer.loads_many(entries[:limit])
            self.metrics.on_storage_read(self.__class__, len(items))
        return _page_of(items, ids, limit, floor, descending)

    @overload
    def get_many_pages(
        self,
        keys: Iterable[str],
        limit: int,
        cursor: str | None = None,
        ordering_args: Sequence[str] | None = None,
        hydrate_from: None = None,
    ) -> dict[str, Page[TimelineItem]]: ...

    @overload
    def get_many_pages(
        self,
        keys: Iterable[str],
        limit: int,
        cursor: str | None = None,
        ordering_args: Sequence[str] | None = None,
        *,
        hydrate_from: ActivityStorage[_Hydrated],
    ) -> dict[str, Page[_Hydrated]]: ...

    @overload
    def get_many_pages(
        self,
        keys: Iterable[str],
        limit: int,
        cursor: str | None = None,
        ordering_args: Sequence[str] | None = None,
        hydrate_from: ActivityStorage[Any] | None = None,
    ) -> dict[str, Page[Any]]: ...

    def get_many_pages(
        self,
        keys: Iterable[str],
        limit: int,
        cursor: str | None = None,
        ordering_args: Sequence[str] | None = None,
        hydrate_from: ActivityStorage[Any] | None = None,
    ) -> dict[str, Page[Any]]:
        """Return ``{key: page}`` in the order of the keys, each as :meth:`get_page` returns it, floors included (T18).

        One cursor goes for all timelines, because ids have one order everywhere: merge the pages, and go on with the
        cursor of the last item that was shown (:func:`~feedstore.storage.page.encode_cursor`). A bounded number of
        round trips, however many the keys; hydrating adds one.
        """
        check_limit("limit", limit)
        descending = is_descending(ordering_args)
        bounds = cursor_bounds(cursor, descending)
        distinct = list(dict.fromkeys(map(check_key, checked_iterable(keys))))
        if not distinct:
            self.backend.check_open()
            return {}
        found = self._read(self._get_many_pages, distinct, limit + 1, bounds, descending)
        slices = {key: found[key][0] for key in distinct}
        self.metrics.on_storage_read(self.__class__, sum(len(entries[:limit]) for entries in slices.values()))
        shown_entries = {key: entries[:limit] for key, entries in slices.items()}
        if hydrate_from is not None:
            shown_entries = _hydrate_slices(_checked_storage(hydrate_from), shown_entries)
        loads_many = (hydrate_from or self).serializer.loads_many
        return {
            key: _page_of(
                loads_many(shown_entries[key]), [one for one, _ in slices[key]], limit, found[key][1], descending
            )
            for key in distinct
        }

    @overload
    def get_many_slices(
        self,
        keys: Iterable[str],
        start: int | None,
        stop: int | None,
        filter_kwargs: Filter | None = None,
        ordering_args: Sequence[str] | None = None,
        hydrate_from: None = None,
    ) -> dict[str, list[TimelineItem]]: ...

    @overload
    def get_many_slices(
        self,
        keys: Iterable[str],
        start: int | None,
        stop: int | None,
        filter_kwargs: Filter | None = None,
        ordering_args: Sequence[str] | None = None,
        *,
        hydrate_from: ActivityStorage[_Hydrated],
    ) -> dict[str, list[_Hydrated]]: ...

    @overload
    def get_many_slices(
        self,
        keys: Iterable[str],
        start: int | None,
        stop: int | None,
        filter_kwargs: Filter | None = None,
        ordering_args: Sequence[str] | None = None,
        hydrate_from: ActivityStorage[Any] | None = None,
    ) -> dict[str, list[Any]]: ...

    def get_many_slices(
        self,
        keys: Iterable[str],
        start: int | None,
        stop: int | None,
        filter_kwargs: Filter | None = None,
        ordering_args: Sequence[str] | None = None,
        hydrate_from: ActivityStorage[Any] | None = None,
    ) -> dict[str, list[Any]]:
        """Return ``{key: slice}`` in the order of the keys, each as :meth:`get_slice` returns it.

        A key that is not there has an empty list. A bounded number of round trips, however many the keys; hydrating
        adds one.
        """
        first, last = check_slice(start, stop)
        bounds = parse_filter(filter_kwargs, self.activity_to_id)
        descending = is_descending(ordering_args)
        distinct = list(dict.fromkeys(map(check_key, checked_iterable(keys))))
        slices: dict[str, list[Entry]] = {}
        if distinct and (last is None or first < last):
            slices = self._read(self._get_many_slices, distinct, first, last, bounds, descending)
        else:
            self.backend.check_open()
        self.metrics.on_storage_read(self.__class__, sum(map(len, slices.values())))
        if hydrate_from is not None:
            slices = _hydrate_slices(_checked_storage(hydrate_from), slices)
        loads_many = (hydrate_from or self).serializer.loads_many
        return {key: loads_many(slices.get(key, ())) for key in distinct}

    def index_of(self, key: str, activity_or_id: ActivityLike) -> int:
        """Return the position of an entry, newest first: how many are newer.

        Raises :class:`ActivityNotFound`, a ``ValueError``, if it is not there (T9). One round trip; the cost is the
        backend's: O(log n) in memory, O(position) elsewhere unless its documentation says better.
        """
        activity_id = self.activity_to_id(activity_or_id)
        position = self._read(self.get_index_of, check_key(key), activity_id)
        self.metrics.on_storage_read(self.__class__, 0 if position is None else 1)
        if position is None:
            raise ActivityNotFound(f"the timeline {shown(key, WHOLE_KEY)} holds no activity {id_to_text(activity_id)}")
        return position

    def contains(self, key: str, activity_id: ActivityLike) -> bool:
        """Return whether a timeline holds an activity. One round trip."""
        return self._contains(check_key(key), self.activity_to_id(activity_id))

    def contains_many(self, key: str, activity_ids: Iterable[ActivityLike]) -> set[int]:
        """Return the ids of those activities that a timeline holds (T18). A bounded number of round trips."""
        distinct = list(dict.fromkeys(self.activities_to_ids(activity_ids)))
        check_key(key)
        if not distinct:
            self.backend.check_open()
            return set()
        return self._contains_many(key, distinct)

    def count(self, key: str, filter_kwargs: Filter | None = None) -> int:
        """Return how many entries a timeline holds, within ``filter_kwargs`` if given; 0 for a key that is not there.

        One round trip. With a filter (T18) it costs O(log n) or O(what it counts), as the backend's documentation says.
        """
        bounds = parse_filter(filter_kwargs, self.activity_to_id)
        check_key(key)
        if bounds.is_everything:
            return self._count(key)
        if bounds.is_empty:
            self.backend.check_open()
            return 0
        return self._count_within(key, bounds)

    def keys(self) -> Iterator[str]:
        """Yield the key of every timeline that holds an entry, once each, in no promised order; for statistics and
        export.

        What is added or removed meanwhile may or may not come. Reads in chunks; the cost is that of all the
        namespace's keys.
        """
        return self._keys()

    def _get_hydrated(
        self,
        activities: ActivityStorage[Any],
        key: str,
        start: int,
        stop: int | None,
        bounds: Any,
        descending: bool,
        limit: int | None = None,
    ) -> tuple[list[Any], list[int]]:
        """Return the activities of a slice (of its first ``limit`` entries), and the ids of all its entries."""
        entries: list[tuple[int, bytes | None]] = []
        _checked_storage(activities)
        if stop is None or start < stop:
            entries = self._read(self._get_hydrated_slice, activities, key, start, stop, bounds, descending)
        else:
            self.backend.check_open()
        present = [(activity_id, data) for activity_id, data in entries[:limit] if data is not None]
        self.metrics.on_storage_read(self.__class__, len(present))
        return activities.serializer.loads_many(present), [activity_id for activity_id, _ in entries]


def _checked_storage(hydrate_from: Any) -> ActivityStorage[Any]:
    if not isinstance(hydrate_from, ActivityStorage):
        raise InvalidTypeError(f"hydrate_from is an activity storage, not {shown(hydrate_from)}")
    return hydrate_from


def _hydrate_slices(activities: ActivityStorage[Any], slices: dict[str, list[Entry]]) -> dict[str, list[Entry]]:
    ids = list({activity_id: None for entries in slices.values() for activity_id, _ in entries})
    found = activities._read(activities.get_from_storage, ids) if ids else {}
    return {
        key: [(activity_id, found[activity_id]) for activity_id, _ in entries if activity_id in found]
        for key, entries in slices.items()
    }


def _page_of(items: list[Any], ids: list[int], limit: int, floor: int | None, descending: bool) -> Page[Any]:
    """Return the page of items that are the first ``limit`` of entries with ``ids``, one more of which may be there."""
    next_cursor = encode_cursor(ids[limit - 1], descending) if len(ids) > limit else None
    return Page(items, next_cursor, next_cursor is None and floor is None, floor)
