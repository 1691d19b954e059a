"""The reads of several timelines in one call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from heapq import merge
from operator import itemgetter
from typing import Any, TypeVar, overload

from feedstore.metrics import Metrics
from feedstore.storage.activity import ActivityStorage, checked_activity_storage
from feedstore.storage.bounds import EVERYTHING, Bounds, Filter, is_descending, parse_filter
from feedstore.storage.checks import check_limit, check_slice, distinct_keys
from feedstore.storage.page import Page, cursor_bounds, encode_cursor
from feedstore.storage.timeline_hooks import Entry, TimelineItem
from feedstore.storage.timeline_writes import TimelineWrites

_Hydrated = TypeVar("_Hydrated")
_MOST_MERGED_KEYS = 1_000
_MOST_MERGED_ENTRIES = 50_000
_id_of_entry: Callable[[Entry], int] = itemgetter(0)


class TimelineBulkReads(TimelineWrites[TimelineItem]):
    """The part of :class:`~feedstore.storage.TimelineStorage` that reads several timelines in one call."""

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
        hydrate_from: ActivityStorage[_Hydrated] = ...,
    ) -> dict[str, Page[_Hydrated]]: ...

    def get_many_pages(
        self,
        keys: Iterable[str],
        limit: int,
        cursor: str | None = None,
        ordering_args: Sequence[str] | None = None,
        hydrate_from: ActivityStorage[Any] | None = None,
    ) -> dict[str, Page[Any]]:
        """Return ``{key: page}`` in the order of the keys, each as ``get_page`` returns it, with its floor (T18).

        One cursor is valid for all timelines, because ids have one order everywhere: merge the pages, and continue with
        the cursor of the last item that was shown (:func:`~feedstore.storage.page.encode_cursor`). A bounded number of
        round trips for any number of keys; hydrating adds one.
        """
        check_limit("limit", limit)
        descending = is_descending(ordering_args)
        bounds = cursor_bounds(cursor, descending)
        distinct = distinct_keys(keys)
        if not distinct:
            self.session.check_open()
            return {}
        found = self._read(self._get_many_pages, distinct, limit + 1, bounds, descending)
        slices = {key: found[key][0] for key in distinct}
        if self.metrics.__class__ is not Metrics:
            self.metrics.on_storage_read(self.__class__, sum(len(entries[:limit]) for entries in slices.values()))
        shown_entries = {key: entries[:limit] for key, entries in slices.items()}
        if hydrate_from is not None:
            shown_entries = checked_activity_storage(hydrate_from)._hydrated(shown_entries)
        loads_many = (hydrate_from or self).serializer.loads_many
        return {
            key: Page.of(
                loads_many(shown_entries[key]),
                slices[key][limit - 1][0] if len(slices[key]) > limit else None,
                found[key][1],
                descending,
            )
            for key in distinct
        }

    @overload
    def get_merged_page(
        self,
        keys: Iterable[str],
        limit: int,
        cursor: str | None = None,
        filter_kwargs: Filter | None = None,
        ordering_args: Sequence[str] | None = None,
        hydrate_from: None = None,
    ) -> Page[TimelineItem]: ...

    @overload
    def get_merged_page(
        self,
        keys: Iterable[str],
        limit: int,
        cursor: str | None = None,
        filter_kwargs: Filter | None = None,
        ordering_args: Sequence[str] | None = None,
        hydrate_from: ActivityStorage[_Hydrated] = ...,
    ) -> Page[_Hydrated]: ...

    def get_merged_page(
        self,
        keys: Iterable[str],
        limit: int,
        cursor: str | None = None,
        filter_kwargs: Filter | None = None,
        ordering_args: Sequence[str] | None = None,
        hydrate_from: ActivityStorage[Any] | None = None,
    ) -> Page[Any]:
        """Return up to ``limit`` entries after ``cursor`` of several timelines, merged into one :class:`Page` (T18).

        An entry that several timelines hold is returned once, as the first of them holds it. The floor is the newest of
        the floors. The page is complete if it is the last and every entry within the filter is there: no timeline was
        trimmed, or every floor lies at or below the filter. Walks, errors and cursors are those of ``get_page``. As
        many round trips as :meth:`get_many_pages`, and memory for some 50,000 entries, however many the keys are;
        hydrating adds one.
        """
        check_limit("limit", limit)
        descending = is_descending(ordering_args)
        bounds = EVERYTHING if filter_kwargs is None else parse_filter(filter_kwargs, self.activity_to_id)
        within = bounds.intersection(cursor_bounds(cursor, descending))
        entries, floor = self._read(self._get_merged_entries, distinct_keys(keys), limit + 1, within, descending)
        page_entries = entries[:limit]
        if hydrate_from is not None:
            page_entries = checked_activity_storage(hydrate_from)._hydrated({"": page_entries})[""]
        items = (hydrate_from or self).serializer.loads_many(page_entries)
        if self.metrics.__class__ is not Metrics:
            self.metrics.on_storage_read(self.__class__, len(items))
        next_cursor = encode_cursor(entries[limit - 1][0], descending) if len(entries) > limit else None
        return Page(items, next_cursor, next_cursor is None and (floor or 0) <= bounds.lowest, floor)

    def _get_merged_entries(
        self, keys: list[str], limit: int, bounds: Bounds, descending: bool
    ) -> tuple[list[Entry], int | None]:
        """Return the first ``limit`` distinct entries of several timelines within bounds, and the newest floor.

        Each part of the keys is read only as far as it can improve on the parts before.
        """
        merged: list[Entry] = []
        newest_floor: int | None = None
        at_once = max(1, min(_MOST_MERGED_KEYS, _MOST_MERGED_ENTRIES // limit))
        for first in range(0, len(keys), at_once):
            part = keys[first : first + at_once]
            found = self._get_many_pages(part, limit, bounds, descending)
            pages = [found[key] for key in part]
            slices = [merged, *(entries for entries, _ in pages)]
            merged = _first_distinct(merge(*slices, key=_id_of_entry, reverse=descending), limit)
            for _, floor in pages:
                if floor is not None and (newest_floor is None or floor > newest_floor):
                    newest_floor = floor
            if len(merged) == limit:
                bounds = bounds.before(merged[-1][0], descending)
        if not keys:
            self.session.check_open()
        return merged, newest_floor

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
        hydrate_from: ActivityStorage[_Hydrated] = ...,
    ) -> dict[str, list[_Hydrated]]: ...

    def get_many_slices(
        self,
        keys: Iterable[str],
        start: int | None,
        stop: int | None,
        filter_kwargs: Filter | None = None,
        ordering_args: Sequence[str] | None = None,
        hydrate_from: ActivityStorage[Any] | None = None,
    ) -> dict[str, list[Any]]:
        """Return ``{key: slice}`` in the order of the keys, with the slices of ``get_slice``.

        An absent key has an empty list. A bounded number of round trips for any number of keys; hydrating adds one.
        """
        first, last = check_slice(start, stop)
        bounds = parse_filter(filter_kwargs, self.activity_to_id)
        descending = is_descending(ordering_args)
        distinct = distinct_keys(keys)
        slices: dict[str, list[Entry]] = {}
        if distinct and (last is None or first < last):
            slices = self._read(self._get_many_slices, distinct, first, last, bounds, descending)
        else:
            self.session.check_open()
        if self.metrics.__class__ is not Metrics:
            self.metrics.on_storage_read(self.__class__, sum(map(len, slices.values())))
        if hydrate_from is not None:
            slices = checked_activity_storage(hydrate_from)._hydrated(slices)
        loads_many = (hydrate_from or self).serializer.loads_many
        return {key: loads_many(found) if (found := slices.get(key)) else [] for key in distinct}


def _first_distinct(entries: Iterable[Entry], limit: int) -> list[Entry]:
    """Return the first ``limit`` entries of sorted ones, each id once."""
    found: list[Entry] = []
    last = -1
    for entry in entries:
        if entry[0] != last:
            if len(found) == limit:
                break
            last = entry[0]
            found.append(entry)
    return found
