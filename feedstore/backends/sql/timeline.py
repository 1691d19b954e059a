"""Timelines in SQL."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import repeat
from operator import itemgetter
from secrets import token_bytes
from typing import Any

from feedstore.backends.sql.activity import SqlActivityStorage
from feedstore.backends.sql.session import SqlSession
from feedstore.backends.sql.stored import check_ids, read_count, read_id, read_ids, read_text
from feedstore.backends.sql.timeline_statements import FURTHEST, LONGEST_WRITTEN, shape_of
from feedstore.backends.sql.timeline_writer import StoredEntry, TimelineWriter
from feedstore.ids import ID_BYTES, id_to_bytes
from feedstore.storage import ActivityStorage, Bounds, TimelineStorage
from feedstore.storage.bounds import EVERYTHING
from feedstore.storage.page import EntryColumns, PackedIds, PackedPayloads, StoredIds
from feedstore.storage.session import AUTOCOMMIT, Pending, Transaction
from feedstore.storage.timeline_hooks import Entry, Limits

_KEYS_A_CHUNK = 1000
_IDS_A_READ = 5000
_BEFORE_ALL = b""
# No payload holds the separator of a read, which is random and as long as this.
_SEPARATOR_BYTES = 8


class SqlTimelineStorage(TimelineStorage):
    """A timeline storage with a header (key, length, floor) for each timeline, and a row under (timeline, id).

    ``count`` and the floor cost O(log t) among t timelines of any length. Adds, removals and ``contains`` cost O(log n)
    for each entry, and slices O(log n + stop). ``index_of`` counts the newer entries: O(position).
    """

    session: SqlSession

    @property
    def _writer(self) -> TimelineWriter:
        return self.session.dialect.timelines

    def add_to_storage(
        self, key: str, serialized_activities: Mapping[int, bytes], transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int | None]:
        """Add entries in one transaction, which stores all or none."""
        return self._add_to_many([key], serialized_activities, None, transaction)

    def _add_to_many(
        self,
        keys: list[str],
        serialized: Mapping[int, bytes],
        max_length: int | None,
        transaction: Transaction = AUTOCOMMIT,
    ) -> Pending[int | None]:
        """One transaction: every timeline gets them or none."""
        namespace = self.session.namespace_to_write()
        return self.session.write(transaction, self._writer.add_to_many, namespace, keys, _rows(serialized), max_length)

    def _add_to_each(
        self, deliveries: Mapping[str, Mapping[int, bytes]], limits: Limits, transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int | None]:
        """One transaction: every timeline and every companion gets its own or none. The number of statements on
        PostgreSQL depends on the limits and on how different the surplus of the timelines is, not on how many these
        are.
        """
        namespace = self.session.namespace_to_write()
        deliver = self.session.dialect.deliveries.deliver
        return self.session.write(transaction, deliver, namespace, deliveries, limits)

    def remove_from_storage(
        self, key: str, serialized_activities: Mapping[int, bytes], transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int | None]:
        """One transaction."""
        return self._remove_from_many([key], serialized_activities, transaction)

    def _remove_from_many(
        self, keys: list[str], serialized: Mapping[int, bytes], transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int | None]:
        """One transaction."""
        namespace = self.session.written_namespace()
        if namespace is None:
            return Pending(0)
        ids = [id_to_bytes(one) for one in serialized]
        return self.session.write(transaction, self._writer.remove_from_many, namespace, keys, ids)

    def _get_slice(self, key: str, start: int, stop: int | None, bounds: Bounds, descending: bool) -> list[Entry]:
        """One statement; O(log n + stop)."""
        session, payloads = self.session, self._reads_payloads
        if start == 0 and bounds is EVERYTHING and stop is not None and stop <= LONGEST_WRITTEN:
            # Most reads. Their statements have a dictionary of their own, and no further parameters.
            statement = session.statements.timelines.first(stop, descending, payloads)
            return _entries(key, session.fetch(statement, (session.namespace, key.encode())), payloads)
        if bounds.is_empty:
            return []
        shape, parameters = shape_of(bounds, start, stop, descending, payloads)
        statement = session.statements.timelines.slice(shape)
        return _entries(key, session.fetch(statement, (session.namespace, key.encode(), *parameters)), payloads)

    def _get_many_slices(
        self, keys: list[str], start: int, stop: int | None, bounds: Bounds, descending: bool
    ) -> dict[str, list[Entry]]:
        """One statement on PostgreSQL; on SQLite, which is no round trip away, one for each in one transaction."""
        namespace = self.session.written_namespace()
        if namespace is None or bounds.is_empty:
            return {}
        payloads = self._reads_payloads
        shape, parameters = shape_of(bounds, start, stop, descending, payloads)
        slices = self._writer.fetch_slices(self.session.store, namespace, keys, shape, parameters)
        return {key: _entries(key, rows, payloads) for key, rows in zip(keys, slices, strict=True)}

    def _get_page(self, key: str, limit: int, bounds: Bounds, descending: bool) -> tuple[list[Entry], int | None]:
        """Read a page, with one statement, and another one for the floor if there are no entries."""
        payloads = self._reads_payloads
        rows: list[tuple[bytes | None, ...]] = []
        if not bounds.is_empty:
            shape, parameters = shape_of(bounds, 0, limit, descending, payloads)
            statement = self.session.statements.timelines.page(shape)
            rows = self.session.fetch(statement, (self.session.namespace, key.encode(), *parameters))
        if not rows:
            return [], self._floor(key)
        return _entries(key, rows, payloads, column=1), _floor_above(key, rows[0][0])

    def _get_columns(self, key: str, limit: int, bounds: Bounds) -> EntryColumns:
        """Read columns, with one statement; on SQLite with another one if the payloads differ in their lengths or
        none has one, and with the statement of a page if only some entries have payloads.
        """
        if bounds.is_empty:
            return EntryColumns([], [], self._floor(key))
        packed = self._packed_columns(key, limit) if bounds.is_everything else None
        # Columns without entries are false.
        return self._joined_columns(key, limit, bounds) if packed is None else packed

    def _packed_columns(self, key: str, limit: int) -> EntryColumns | None:
        """Return the columns of entries whose payloads have one length; None of others, or if the dialect lacks it."""
        statement = self._writer.packed_entries
        if statement is None:
            return None
        parameters = (self.session.written_namespace(), key.encode(), min(limit, FURTHEST))
        ((newest_dropped, length, oldest, run),) = self.session.store.fetch(statement, parameters)
        if length is None:
            return EntryColumns([], [], None)
        if run is None or not oldest or oldest.__class__ is not bytes or length.__class__ is not int:
            return None
        width = len(oldest)
        if len(run) != min(length, limit) * (ID_BYTES + width) - width:
            return None
        ids, payloads = PackedIds(run, ID_BYTES + width), PackedPayloads(oldest, run)
        return EntryColumns(ids, payloads, _floor_above(key, newest_dropped))

    def _joined_columns(self, key: str, limit: int, bounds: Bounds) -> EntryColumns:
        shape, parameters = shape_of(bounds, 0, limit, descending=True, payloads=True)
        separator = token_bytes(_SEPARATOR_BYTES)
        values = (self.session.written_namespace(), key.encode(), separator, separator, *parameters)
        ((newest_dropped, *joined),) = self.session.store.fetch(
            self.session.statements.timelines.columns(shape), values
        )
        ids, payloads = (None if column is None else column.split(separator) for column in joined)
        if ids is None:
            return EntryColumns([], [], _floor_above(key, newest_dropped))
        if payloads is None:
            payloads = [b""] * len(ids)
        elif len(payloads) != len(ids):
            return super()._get_columns(key, limit, bounds)
        check_ids(ids, "the timeline", key)
        return EntryColumns(StoredIds(ids), payloads, _floor_above(key, newest_dropped))

    def _get_many_pages(
        self, keys: list[str], limit: int, bounds: Bounds, descending: bool
    ) -> dict[str, tuple[list[Entry], int | None]]:
        """One statement on PostgreSQL; on SQLite one or two for each timeline, in one transaction."""
        namespace = self.session.written_namespace()
        if namespace is None:
            return dict.fromkeys(keys, ([], None))
        payloads = self._reads_payloads
        # With empty bounds, whose ends may be no valid ids, only the floors are read.
        within, stop = (EVERYTHING, 0) if bounds.is_empty else (bounds, limit)
        shape, parameters = shape_of(within, 0, stop, descending, payloads)
        pages = self._writer.fetch_pages(self.session.store, namespace, keys, shape, parameters)
        return {
            key: (_entries(key, rows, payloads), _floor_above(key, newest_dropped))
            for key, (newest_dropped, rows) in zip(keys, pages, strict=True)
        }

    def _get_hydrated_slice(
        self,
        activities: ActivityStorage,
        key: str,
        start: int,
        stop: int | None,
        bounds: Bounds,
        descending: bool,
    ) -> list[tuple[int, bytes | None]]:
        """Read activities, with one statement if they are in the same database, else with two."""
        if not isinstance(activities, SqlActivityStorage) or not self.session.shares_store_with(activities.session):
            return super()._get_hydrated_slice(activities, key, start, stop, bounds, descending)
        if bounds.is_empty:
            return []
        shape, parameters = shape_of(bounds, start, stop, descending, payloads=False)
        statement = self.session.statements.timelines.hydrated_slice(shape)
        namespaces = (activities.session.namespace, self.session.written_namespace())
        rows = activities.session.fetch(statement, (*namespaces, key.encode(), *parameters))
        ids = read_ids([activity_id for activity_id, _ in rows], "the timeline", key)
        return list(zip(ids, map(itemgetter(1), rows), strict=True))

    def get_index_of(self, key: str, activity_id: int) -> int | None:
        """Count the newer entries, with one statement and O(position) work."""
        session = self.session
        place = (session.namespace, key.encode(), activity_id.to_bytes(ID_BYTES, "big"))
        rows = session.fetch(session.statements.timelines.index_of, place)
        position: int | None = rows[0][0] if rows else None
        return position

    def _contains(self, key: str, activity_id: int) -> bool:
        session = self.session
        place = (session.namespace, key.encode(), activity_id.to_bytes(ID_BYTES, "big"))
        return bool(session.fetch(session.statements.timelines.contains, place))

    def _contains_many(self, key: str, activity_ids: list[int]) -> set[int]:
        """Read ids, with one statement for each 5,000 and O(log n) work for each id."""
        namespace = self.session.written_namespace()
        if namespace is None:
            return set()
        found: set[int] = set()
        for start in range(0, len(activity_ids), _IDS_A_READ):
            ids = [id_to_bytes(one) for one in activity_ids[start : start + _IDS_A_READ]]
            rows = self.session.store.fetch(*self._writer.contained_statement(namespace, key, ids))
            found.update(read_ids([activity_id for (activity_id,) in rows], "the timeline", key))
        return found

    def _count_within(self, key: str, bounds: Bounds) -> int:
        """Count entries within bounds, with one statement and O(log n + counted entries) work."""
        shape, parameters = shape_of(bounds, 0, None, descending=True, payloads=False)
        statement = self.session.statements.timelines.count_within(shape)
        rows = self.session.fetch(statement, (self.session.namespace, key.encode(), *parameters[:-2]))
        count: int = rows[0][0]
        return count

    def _count(self, key: str) -> int:
        session = self.session
        rows = session.fetch(session.statements.timelines.count, (session.namespace, key.encode()))
        return read_count(rows[0][0], "the length of the timeline", key) if rows else 0

    def _floor(self, key: str) -> int | None:
        session = self.session
        rows = session.fetch(session.statements.timelines.newest_dropped, (session.namespace, key.encode()))
        return _floor_above(key, rows[0][0]) if rows else None

    def _trim(self, key: str, length: int, transaction: Transaction = AUTOCOMMIT) -> Pending[int | None]:
        """One transaction."""
        namespace = self.session.written_namespace()
        if namespace is None:
            return Pending(0)
        return self.session.write(transaction, self._writer.trim, namespace, key, min(length, FURTHEST))

    def _delete(self, key: str, transaction: Transaction = AUTOCOMMIT) -> Pending[None]:
        """One transaction; O(n)."""
        namespace = self.session.written_namespace()
        if namespace is None:
            return Pending(None)
        return self.session.write(transaction, self._writer.delete, namespace, key)

    def _keys(self) -> Iterator[str]:
        """Yield keys in chunks of 1,000, in the order of their bytes, without a transaction between two chunks."""
        last = _BEFORE_ALL
        while True:
            parameters = (self.session.namespace, last, _KEYS_A_CHUNK)
            rows = self.session.fetch(self.session.statements.timelines.keys, parameters)
            for (key,) in rows:
                yield read_text(key, "the key of a timeline")
            if len(rows) < _KEYS_A_CHUNK:
                return
            last = rows[-1][0]

    def _flush(self, transaction: Transaction = AUTOCOMMIT) -> Pending[None]:
        """Delete all timelines, in transactions with a bounded number of them, or in the transaction of a batch."""
        namespace = self.session.written_namespace()
        if namespace is not None:
            while self.session.write(transaction, self._writer.drop_some, namespace).result:
                pass
        return Pending(None)


def _rows(serialized: Mapping[int, bytes]) -> list[StoredEntry]:
    return [(activity_id.to_bytes(ID_BYTES, "big"), data or None) for activity_id, data in serialized.items()]


def _entries(key: str, rows: Sequence[tuple[Any, ...]], payloads: bool, column: int = 0) -> list[Entry]:
    """Return the entries of a timeline's rows, whose ids are in a column. The serializer checks the payloads."""
    ids = read_ids([row[column] for row in rows], "the timeline", key)
    if payloads:
        return [(activity_id, row[-1] or b"") for activity_id, row in zip(ids, rows, strict=True)]
    return list(zip(ids, repeat(b"")))


def _floor_above(key: str, newest_dropped: bytes | None) -> int | None:
    return None if newest_dropped is None else read_id(newest_dropped, "the floor of the timeline", key) + 1
