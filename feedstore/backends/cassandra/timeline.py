"""Timelines in Cassandra."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from feedstore.backends.cassandra.deliveries import IDS_A_REQUEST, KEYS_A_REQUEST
from feedstore.backends.cassandra.floor import floor_from_bytes
from feedstore.backends.cassandra.store import Request
from feedstore.backends.cassandra.stored import checked_ids, have_ids, stored_entries, stored_key
from feedstore.backends.cassandra.timeline_writes import CassandraTimelineWrites
from feedstore.backends.cassandra.values import Rows, int_value, list_value, list_values
from feedstore.ids import id_to_bytes
from feedstore.shown import WHOLE_KEY, shown
from feedstore.storage import Bounds, TimelineStorage
from feedstore.storage.bounds import EVERYTHING
from feedstore.storage.timeline_hooks import Entry

_MOST_ROWS = 2**31 - 1


class CassandraTimelineStorage(CassandraTimelineWrites, TimelineStorage):
    """A timeline storage with a partition for each timeline: 16-byte ids, newest first, payloads, and a static floor.

    A slice costs one round trip. Its work is proportional to its result, to the skipped entries before ``start``, and,
    at the end of the timeline, to the trimmed entries since the last compaction. ``contains`` costs one round trip.
    ``count`` and ``index_of`` read the counted entries: O(n) and O(position). :meth:`keys` reads the directory, and 25
    timelines a request.

    A timeline should hold a million entries at most: see :data:`~feedstore.backends.cassandra.memory.LIMIT`.
    """

    def _get_slice(self, key: str, start: int, stop: int | None, bounds: Bounds, descending: bool) -> list[Entry]:
        """Read a slice, with one round trip for each 5,000 entries and O(stop) work."""
        store = self.session.store_to_read()
        if bounds.is_empty:
            return []
        columns = "id, data" if self._reads_payloads else "id"
        request = self._request(columns, key, stop, bounds, descending)
        return _entries_of(key, store.fetch(*request), start, self._reads_payloads)

    def _request(self, columns: str, key: str, stop: int | None, bounds: Bounds, descending: bool) -> Request:
        has_limit = stop is not None and stop < _MOST_ROWS
        has_lowest, has_highest = bounds.lowest > EVERYTHING.lowest, bounds.highest < EVERYTHING.highest
        statement = self.session.store.statements.select_entries(
            columns, has_lowest, has_highest, descending, has_limit
        )
        values = [*self._names([key]), *_bound_values(bounds)]
        if stop is not None and has_limit:
            values.append(int_value(stop))
        return statement, values

    def _get_many_slices(
        self, keys: list[str], start: int, stop: int | None, bounds: Bounds, descending: bool
    ) -> dict[str, list[Entry]]:
        """Read slices, with one concurrent request for each 25 keys, or for each key if oldest first."""
        self.session.store_to_read()
        if bounds.is_empty:
            return {key: [] for key in keys}
        columns = "id, data" if self._reads_payloads else "id"
        slices = self._slices_of_many(keys, columns, stop, bounds, descending)
        return {key: _entries_of(key, slices.get(key, []), start, self._reads_payloads) for key in keys}

    def _slices_of_many(
        self, keys: list[str], columns: str, stop: int | None, bounds: Bounds, descending: bool
    ) -> dict[str, Rows]:
        if descending:
            return self._newest_of_many(keys, columns, stop, bounds)
        requests = [self._request(columns, key, stop, bounds, descending) for key in keys]
        return dict(zip(keys, self.session.store.fetch_all(requests), strict=True))

    def _newest_of_many(self, keys: list[str], columns: str, stop: int | None, bounds: Bounds) -> dict[str, Rows]:
        store = self.session.store
        has_limit = stop is not None and stop < _MOST_ROWS
        statement = store.statements.select_entries_of_many(
            columns, bounds.lowest > EVERYTHING.lowest, bounds.highest < EVERYTHING.highest, has_limit
        )
        rest = _bound_values(bounds) + ([int_value(stop)] if stop is not None and has_limit else [])
        slices: dict[str, Rows] = {}
        length = len(self._prefix)
        for rows in store.fetch_all([(statement, [some, *rest]) for some in self._some_names(keys)]):
            for name, *row in rows:
                slices.setdefault(name[length:], []).append(tuple(row))
        return slices

    def _some_names(self, keys: Sequence[str]) -> Iterator[bytes]:
        return list_values(self._names(keys), KEYS_A_REQUEST)

    def _get_many_pages(
        self, keys: list[str], limit: int, bounds: Bounds, descending: bool
    ) -> dict[str, tuple[list[Entry], int | None]]:
        """Read pages, with one request for each 25 keys, or for each key if oldest first.

        Keys without entries within the bounds cost one more request for each 25, for their floors.
        """
        store = self.session.store_to_read()
        columns = "id, data, floor" if self._reads_payloads else "id, floor"
        slices: dict[str, Rows] = {}
        if not bounds.is_empty:
            slices = self._slices_of_many(keys, columns, limit, bounds, descending)
        # A request with bounds returns no row, and so no floor, of a timeline without entries within the bounds.
        without = [key for key in keys if not slices.get(key)] if not bounds.is_everything else []
        requests = [(store.statements.select_floors, [some]) for some in self._some_names(without)]
        length = len(self._prefix)
        floors = {name[length:]: floor for rows in store.fetch_all(requests) for name, floor in rows}
        floors.update((key, rows[0][-1]) for key, rows in slices.items() if rows)
        return {
            key: (
                _entries_of(key, slices.get(key, []), 0, self._reads_payloads),
                floor_from_bytes(floors.get(key)).lowest,
            )
            for key in keys
        }

    def _get_page(self, key: str, limit: int, bounds: Bounds, descending: bool) -> tuple[list[Entry], int | None]:
        """Read a page, with one round trip, and another one for the floor if there are no entries."""
        store = self.session.store_to_read()
        rows: Rows = []
        if not bounds.is_empty:
            columns = "id, data, floor" if self._reads_payloads else "id, floor"
            rows = store.fetch(*self._request(columns, key, limit, bounds, descending))
        if not rows:
            return [], None if bounds.is_everything else self._floor(key)
        return _entries_of(key, rows, 0, self._reads_payloads), floor_from_bytes(rows[0][-1]).lowest

    def _floor(self, key: str) -> int | None:
        """Read the floor, with one round trip."""
        rows = self._ask(self.session.store_to_read().statements.select_floor, key)
        return floor_from_bytes(rows[0][0]).lowest if rows else None

    def get_index_of(self, key: str, activity_id: int) -> int | None:
        """Count newer entries, with two concurrent requests and O(position) work."""
        store, one = self.session.store_to_read(), id_to_bytes(activity_id)
        values = [*self._names([key]), one]
        found, newer = store.fetch_all(
            [(store.statements.select_entry, values), (store.statements.count_newer, values)]
        )
        return newer[0][0] if found else None

    def _contains(self, key: str, activity_id: int) -> bool:
        statement = self.session.store_to_read().statements.select_entry
        return bool(self._ask(statement, key, id_to_bytes(activity_id)))

    def _contains_many(self, key: str, activity_ids: list[int]) -> set[int]:
        """Read ids, with one request for each 100, of which 16 are concurrent."""
        store, (name,) = self.session.store_to_read(), self._names([key])
        ids = [id_to_bytes(one) for one in activity_ids]
        requests = [
            (store.statements.select_entries_by_id, [list_value([name]), some])
            for some in list_values(ids, IDS_A_REQUEST)
        ]
        return {int.from_bytes(row[1], "big") for rows in store.fetch_all(requests) for row in rows}

    def _count_within(self, key: str, bounds: Bounds) -> int:
        """Count entries within bounds, with one round trip and O(counted entries) work."""
        self.session.store_to_read()
        count: int = self.session.store.fetch(*self._request("COUNT(id)", key, None, bounds, True))[0][0]
        return count

    def _count(self, key: str) -> int:
        """Count the entries, with one round trip and O(n) work."""
        count: int = self._ask(self.session.store_to_read().statements.count_entries, key)[0][0]
        return count

    def _ask(self, statement: str, key: str, *values: bytes) -> Rows:
        return self.session.store.fetch(statement, [*self._names([key]), *values])

    def _keys(self) -> Iterator[str]:
        """Read the keys, with one round trip for each 1,000 names in the directory, and a request for each 25 names."""
        store, length = self.session.store_to_read(), len(self._prefix)
        for names in self._directory.names():
            keys = [stored_key(name, "the directory of timelines") for name in names]
            requests = [(store.statements.select_present, [some]) for some in self._some_names(keys)]
            for rows in store.fetch_all(requests):
                yield from (name[length:] for name, activity_id in rows if activity_id is not None)


def _bound_values(bounds: Bounds) -> list[bytes]:
    values = [id_to_bytes(bounds.lowest)] if bounds.lowest > EVERYTHING.lowest else []
    return [*values, id_to_bytes(bounds.highest)] if bounds.highest < EVERYTHING.highest else values


def _entries_of(key: str, rows: Rows, start: int, has_payloads: bool) -> list[Entry]:
    """Return the entries of rows after the first ``start``. An empty timeline with a floor is one row without an id."""
    chosen: list[Any] = rows[start:] if start else rows
    if chosen and chosen[0][0] is None:
        return []
    if has_payloads:
        return stored_entries(chosen, _named(key))
    if not have_ids(chosen):
        checked_ids(chosen, _named(key))
    from_bytes = int.from_bytes
    return [(from_bytes(row[0], "big"), b"") for row in chosen]


def _named(key: str) -> str:
    return f"the timeline {shown(key, WHOLE_KEY)}"
