"""Writes of timelines in SQLite."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from feedstore.backends.sql.connection import Connection
from feedstore.backends.sql.sqlite.arrays import numbers, positions, texts
from feedstore.backends.sql.sqlite.rows import RowInserts
from feedstore.backends.sql.sqlite.timeline_statements import SqliteTimelineStatements
from feedstore.backends.sql.statements import Compiler
from feedstore.backends.sql.tables import entry_table
from feedstore.backends.sql.timeline_writes import FURTHEST, EntryRow, TimelineWrites

_FLUSHED_AT_ONCE = 100
_ESCAPED_NUL = "\\u0000"

Header = tuple[int, int]
"""A timeline's number and its length."""


class SqliteTimelineWrites(TimelineWrites):
    """Each step of a fan-out is one statement over all its timelines; only dropping the oldest runs once for each.

    BEGIN IMMEDIATE has locked the database, which stands for the locks of all headers. A fan-out of one activity to
    1,000 timelines of 100 entries, in milliseconds of SQLite's work: headers 0.5, who holds it already 0.2, insert 0.3,
    lengths and floors 0.7, dropping the oldest 1.0; the same inserts by ``executemany`` 1.3, floors by ``executemany``
    1.7, dropping by a trigger 9.
    """

    def __init__(self, compiler: Compiler) -> None:
        self._statements = SqliteTimelineStatements(compiler)
        self._inserts = RowInserts(compiler, entry_table)

    def lock(self, connection: Connection, namespace_id: int, keys: list[str]) -> None:
        """Nothing to do: the database is locked."""

    def add(self, connection: Connection, namespace_id: int, key: str, entries: list[EntryRow]) -> int:
        """Three statements, and one more for each entry if some were there before."""
        timeline, _ = self._header_to_write(connection, namespace_id, key)
        added = self._insert_into_one(connection, timeline, entries)
        if added:
            self._lengthen(connection, added, numbers([timeline]))
        return added

    def add_to_many(
        self,
        connection: Connection,
        namespace_id: int,
        keys: list[str],
        entries: list[EntryRow],
        max_length: int | None,
    ) -> int:
        """A bounded number of statements, and one for each timeline that is trimmed."""
        headers = self._headers_to_write(connection, namespace_id, keys)
        timelines = [timeline for timeline, _ in headers]
        array = numbers(timelines)
        held = self._insert(connection, timelines, array, entries)
        longest = FURTHEST if max_length is None else max_length
        longer: dict[int, list[int]] = defaultdict(list)
        for (length, new), grown in _grouped(headers, held, len(entries)).items():
            if length + new > longest:
                trimmed = array if len(grown) == len(timelines) else numbers(grown)
                self._shorten(connection, longest, length + new - longest, grown, trimmed)
            elif new:
                longer[new] += grown
        for new, grown in longer.items():
            self._lengthen(connection, new, array if len(grown) == len(timelines) else numbers(grown))
        return len(headers) * len(entries) - sum(held.values())

    def remove_from_many(
        self, connection: Connection, namespace_id: int, keys: list[str], activity_ids: list[bytes]
    ) -> int:
        """A bounded number of statements for each key or each id, whichever are fewer."""
        timelines = [timeline for timeline, _ in self._headers(connection, namespace_id, keys)]
        if len(timelines) < len(activity_ids):
            removed = self._remove_by_timeline(connection, timelines, activity_ids)
        else:
            removed = self._remove_by_id(connection, timelines, activity_ids)
        shorter: dict[int, list[int]] = defaultdict(list)
        for timeline, count in removed.items():
            shorter[count].append(timeline)
        for count, affected in shorter.items():
            self._lengthen(connection, -count, numbers(affected))
        return sum(removed.values())

    def trim(self, connection: Connection, namespace_id: int, key: str, length: int) -> int:
        """Three statements."""
        for timeline, before in self._headers(connection, namespace_id, [key]):
            if before > length:
                self._shorten(connection, length, before - length, [timeline], numbers([timeline]))
                return before - length
        return 0

    def delete(self, connection: Connection, namespace_id: int, key: str) -> None:
        """Three statements."""
        self._delete(connection, [timeline for timeline, _ in self._headers(connection, namespace_id, [key])])

    def delete_some(self, connection: Connection, namespace_id: int) -> bool:
        """A hundred timelines at a time."""
        found = connection.execute(self._statements.some_headers, (namespace_id, _FLUSHED_AT_ONCE)).fetchall()
        self._delete(connection, [timeline for (timeline,) in found])
        return len(found) == _FLUSHED_AT_ONCE

    def _delete(self, connection: Connection, timelines: list[int]) -> None:
        array = numbers(timelines)
        connection.execute(self._statements.delete_all, (array,))
        connection.execute(self._statements.delete_headers, (array,))

    def _headers(self, connection: Connection, namespace_id: int, keys: list[str]) -> list[Header]:
        """The headers that are there, in the order of their numbers, in which their entries lie."""
        array = texts(keys)
        if len(keys) > 1 and _ESCAPED_NUL not in array:
            headers: list[Header] = connection.execute(self._statements.headers, (array, namespace_id)).fetchall()
            return headers
        found = (connection.execute(self._statements.header, (namespace_id, key.encode())).fetchone() for key in keys)
        return sorted(header for header in found if header is not None)

    def _header_to_write(self, connection: Connection, namespace_id: int, key: str) -> Header:
        (header,) = self._headers_to_write(connection, namespace_id, [key])
        return header

    def _headers_to_write(self, connection: Connection, namespace_id: int, keys: list[str]) -> list[Header]:
        """The headers of all keys, made where they are missing."""
        headers = self._headers(connection, namespace_id, keys)
        if len(headers) < len(keys):
            connection.executemany(self._statements.create_header, [(namespace_id, key.encode()) for key in keys])
            headers = self._headers(connection, namespace_id, keys)
        return headers

    def _insert(
        self, connection: Connection, timelines: list[int], array: str, entries: list[EntryRow]
    ) -> dict[int, int]:
        """Add entries to timelines; return how many of them each held before, where it held any."""
        held: dict[int, int] = defaultdict(int)
        if len(timelines) < len(entries):
            for timeline in timelines:
                held[timeline] = len(entries) - self._insert_into_one(connection, timeline, entries)
            return held
        for activity_id, data in entries:
            holders = connection.execute(self._statements.holders, (array, activity_id)).fetchall()
            connection.execute(self._statements.insert_into_many, (activity_id, data, array))
            for (timeline,) in holders:
                held[timeline] += 1
            if holders:
                self._replace(connection, ((data, timeline, activity_id) for (timeline,) in holders))
        return held

    def _insert_into_one(self, connection: Connection, timeline: int, entries: list[EntryRow]) -> int:
        """Add entries to one timeline and return how many were new. In their order: SQLite then finds each beside the
        one before."""
        if all(data is None for _, data in entries):
            return self._insert_ids_into_one(connection, timeline, sorted([activity_id for activity_id, _ in entries]))
        rows = [(timeline, *entry) for entry in sorted(entries)]
        added = self._inserts.insert(connection, rows)
        if added < len(entries):
            self._replace(connection, ((data, timeline, activity_id) for activity_id, data in entries))
        return added

    def _insert_ids_into_one(self, connection: Connection, timeline: int, activity_ids: list[bytes]) -> int:
        parameters = (timeline, b"".join(activity_ids), positions(len(activity_ids)))
        added: int = connection.execute(self._statements.insert_ids, parameters).rowcount
        if added < len(activity_ids):
            connection.execute(self._statements.remove_data, parameters)
        return added

    def _replace(self, connection: Connection, rows: Iterable[tuple[Any, ...]]) -> None:
        connection.executemany(self._statements.replace, rows)

    def _lengthen(self, connection: Connection, more: int, array: str) -> None:
        connection.execute(self._statements.lengthen, (more, array))

    def _shorten(self, connection: Connection, length: int, surplus: int, timelines: list[int], array: str) -> None:
        """Drop the oldest ``surplus`` entries of each timeline, and note the newest of them in its header."""
        last = surplus - 1
        connection.execute(self._statements.shorten, (length, last, array))
        connection.executemany(self._statements.drop_oldest, [(timeline, timeline, last) for timeline in timelines])

    def _remove_by_timeline(
        self, connection: Connection, timelines: list[int], activity_ids: list[bytes]
    ) -> dict[int, int]:
        ids, array = b"".join(activity_ids), positions(len(activity_ids))
        statement = self._statements.delete_ids
        return {timeline: connection.execute(statement, (timeline, ids, array)).rowcount for timeline in timelines}

    def _remove_by_id(self, connection: Connection, timelines: list[int], activity_ids: list[bytes]) -> dict[int, int]:
        removed: dict[int, int] = defaultdict(int)
        array = numbers(timelines)
        for activity_id in activity_ids:
            holders = [timeline for (timeline,) in connection.execute(self._statements.holders, (array, activity_id))]
            connection.execute(self._statements.delete_from_many, (numbers(holders), activity_id))
            for timeline in holders:
                removed[timeline] += 1
        return removed


def _grouped(headers: list[Header], held: dict[int, int], added: int) -> dict[tuple[int, int], list[int]]:
    """Return the timelines by the length that they had and the number of their new entries."""
    groups: dict[tuple[int, int], list[int]] = defaultdict(list)
    for timeline, length in headers:
        groups[length, added - held[timeline] if timeline in held else added].append(timeline)
    return groups
