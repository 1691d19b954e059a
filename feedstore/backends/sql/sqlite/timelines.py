"""The rows of timelines in SQLite."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Any

from feedstore.backends.sql.compiler import Compiler
from feedstore.backends.sql.connection import Connection
from feedstore.backends.sql.database import Database
from feedstore.backends.sql.sqlite.arrays import numbers, positions, texts
from feedstore.backends.sql.sqlite.rows import NamespaceIds, RowInserts
from feedstore.backends.sql.sqlite.timeline_statements import PACKED_ENTRIES, SqliteTimelineStatements
from feedstore.backends.sql.stored import read_count
from feedstore.backends.sql.tables import entry_table
from feedstore.backends.sql.timeline_statements import SliceShape, TimelineStatements
from feedstore.backends.sql.timeline_writer import Header, StoredEntry, TimelineWriter
from feedstore.storage.session import Operation

_TIMELINES_A_FLUSH = 100
_ONLY_INTS = frozenset({int})
_ESCAPED_NUL = "\\u0000"


class SqliteTimelineWriter(TimelineWriter):
    """The writes of timelines. Each step of a fan-out is one statement for all timelines, except the last.

    The last step, which drops the oldest entries, is one statement for each timeline. BEGIN IMMEDIATE has locked the
    database, so headers need no locks.

    Measured: a fan-out of one activity to 1,000 timelines of 100 entries, in milliseconds of SQLite's work: headers
    0.5, holders of the activity 0.2, insert 0.3, lengths and floors 0.7, drop of the oldest 1.0. With ``executemany``
    the inserts take 1.3 and the floors 1.7. A drop by a trigger takes 9, and by ``(timeline, id) IN (…)`` 10.
    """

    def __init__(self, compiler: Compiler, shared: TimelineStatements) -> None:
        self.statements = SqliteTimelineStatements(compiler)
        self.packed_entries = PACKED_ENTRIES
        self._shared = shared
        self._inserts = RowInserts(compiler, entry_table)
        self._namespace_ids = NamespaceIds(compiler)

    def fetch_slices(
        self, database: Database, namespace: str, keys: list[str], shape: SliceShape, parameters: tuple[Any, ...]
    ) -> list[list[tuple[Any, ...]]]:
        """One statement for each in one transaction: to ask SQLite again costs no more than to ask for more."""
        text = self._shared.slice(shape)
        return database.read(_fetch_each, text, [(namespace, key.encode(), *parameters) for key in keys])

    def fetch_pages(
        self, database: Database, namespace: str, keys: list[str], shape: SliceShape, parameters: tuple[Any, ...]
    ) -> list[tuple[bytes | None, list[tuple[Any, ...]]]]:
        """One statement for each in one transaction; two where no entry brings the floor along."""
        each = [(namespace, key.encode(), *parameters) for key in keys]
        return database.read(_fetch_pages, self._shared.page(shape), self._shared.newest_dropped, each)

    def contained_statement(self, namespace: str, key: str, activity_ids: list[bytes]) -> tuple[str, Any]:
        """One look-up for each id."""
        ids, array = b"".join(activity_ids), positions(len(activity_ids))
        return self.statements.contained, (array, namespace, key.encode(), ids)

    def array(self, timelines: list[int]) -> str:
        """A JSON array."""
        return numbers(timelines)

    def lock(self, connection: Connection, namespace: str, operations: Sequence[Operation]) -> bool:
        """Nothing to do: the database is locked."""
        return False

    def headers(self, connection: Connection, namespace: str, keys: list[str]) -> list[Header]:
        """One statement, or one for each key that holds NUL."""
        array = texts(keys)
        if len(keys) > 1 and _ESCAPED_NUL not in array:
            return _checked(connection.execute(self.statements.headers, (array, namespace)).fetchall())
        found = (connection.execute(self.statements.header, (namespace, key.encode())).fetchone() for key in keys)
        return sorted(_checked([header for header in found if header is not None]))

    def headers_to_write(self, connection: Connection, namespace: str, keys: list[str]) -> list[Header]:
        """As :meth:`headers`, and twice that with the inserts where some are missing."""
        headers = self.headers(connection, namespace, keys)
        if len(headers) < len(keys):
            self._create_headers(connection, namespace, keys)
            headers = self.headers(connection, namespace, keys)
        return headers

    def keyed_headers_to_write(self, connection: Connection, namespace: str, keys: list[str]) -> dict[str, Header]:
        """As :meth:`headers_to_write`."""
        headers = self._keyed_headers(connection, namespace, keys)
        if len(headers) < len(keys):
            missing = [key for key in keys if key not in headers]
            self._create_headers(connection, namespace, missing)
            headers |= self._keyed_headers(connection, namespace, missing)
        return headers

    def _create_headers(self, connection: Connection, namespace: str, keys: list[str]) -> None:
        """Make missing headers, with one statement, or one for each key if a key holds NUL."""
        namespace_id, array = self._namespace_ids.find(connection, namespace), texts(keys)
        if _ESCAPED_NUL not in array:
            connection.execute(self.statements.create_headers, (namespace_id, array))
        else:
            connection.executemany(self.statements.create_header, [(namespace_id, key.encode()) for key in keys])

    def _keyed_headers(self, connection: Connection, namespace: str, keys: list[str]) -> dict[str, Header]:
        array = texts(keys)
        if _ESCAPED_NUL not in array:
            rows = connection.execute(self.statements.keyed_headers, (array, namespace)).fetchall()
        else:
            statement = self.statements.header
            each = [(key, connection.execute(statement, (namespace, key.encode())).fetchone()) for key in keys]
            rows = [(key, *header) for key, header in each if header is not None]
        headers = {key: (timeline, length) for key, timeline, length in rows}
        _checked(list(headers.values()))
        return headers

    def insert(
        self, connection: Connection, timelines: list[int], array: str, entries: list[StoredEntry]
    ) -> dict[int, int]:
        """A bounded number of statements for each timeline or each entry, whichever are fewer."""
        held: dict[int, int] = defaultdict(int)
        if len(timelines) <= len(entries):
            for timeline in timelines:
                held[timeline] = len(entries) - self._insert_into_one(connection, timeline, entries)
            return held
        for activity_id, data in entries:
            holders = connection.execute(self.statements.holders, (array, activity_id)).fetchall()
            connection.execute(self.statements.insert_into_many, (activity_id, data, array))
            for (timeline,) in holders:
                held[timeline] += 1
            if holders:
                self._replace(connection, ((data, timeline, activity_id) for (timeline,) in holders))
        return held

    def _insert_into_one(self, connection: Connection, timeline: int, entries: list[StoredEntry]) -> int:
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
        added: int = connection.execute(self.statements.insert_ids, parameters).rowcount
        if added < len(activity_ids):
            connection.execute(self.statements.remove_data, parameters)
        return added

    def _replace(self, connection: Connection, rows: Iterable[tuple[Any, ...]]) -> None:
        connection.executemany(self.statements.replace, rows)

    def lengthen(self, connection: Connection, more: int, array: str) -> None:
        """One statement."""
        connection.execute(self.statements.lengthen, (more, array))

    def shorten(self, connection: Connection, length: int, surplus: int, timelines: list[int], array: str) -> None:
        """One statement, and one for each timeline."""
        last = surplus - 1
        connection.execute(self.statements.shorten, (length, last, array))
        connection.executemany(self.statements.drop_oldest, [(timeline, timeline, last) for timeline in timelines])

    def remove(self, connection: Connection, timelines: list[int], activity_ids: list[bytes]) -> dict[int, int]:
        """A bounded number of statements for each timeline or each id, whichever are fewer."""
        if len(timelines) <= len(activity_ids):
            return self._remove_by_timeline(connection, timelines, activity_ids)
        return self._remove_by_id(connection, timelines, activity_ids)

    def _remove_by_timeline(
        self, connection: Connection, timelines: list[int], activity_ids: list[bytes]
    ) -> dict[int, int]:
        ids, array = b"".join(activity_ids), positions(len(activity_ids))
        statement = self.statements.delete_ids
        return {timeline: connection.execute(statement, (timeline, ids, array)).rowcount for timeline in timelines}

    def _remove_by_id(self, connection: Connection, timelines: list[int], activity_ids: list[bytes]) -> dict[int, int]:
        removed: dict[int, int] = defaultdict(int)
        array = numbers(timelines)
        for activity_id in activity_ids:
            holders = [timeline for (timeline,) in connection.execute(self.statements.holders, (array, activity_id))]
            connection.execute(self.statements.delete_from_many, (numbers(holders), activity_id))
            for timeline in holders:
                removed[timeline] += 1
        return removed

    def drop(self, connection: Connection, timelines: list[int]) -> None:
        """Two statements."""
        array = numbers(timelines)
        connection.execute(self.statements.delete_all, (array,))
        connection.execute(self.statements.delete_headers, (array,))

    def drop_some(self, connection: Connection, namespace: str) -> bool:
        """A hundred timelines, in the order of the index on their keys: in that of their numbers SQLite would read and
        sort all of the namespace for each hundred.
        """
        found = connection.execute(self.statements.some_headers, (namespace, _TIMELINES_A_FLUSH)).fetchall()
        self.drop(connection, [timeline for (timeline,) in found])
        return len(found) == _TIMELINES_A_FLUSH


def _checked(headers: list[Header]) -> list[Header]:
    if not _ONLY_INTS.issuperset(map(type, map(itemgetter(1), headers))):
        for _, length in headers:
            read_count(length, "the length of a timeline")
    return headers


def _fetch_each(connection: Connection, text: str, parameters: list[tuple[Any, ...]]) -> list[list[tuple[Any, ...]]]:
    return [connection.execute(text, each).fetchall() for each in parameters]


def _fetch_pages(
    connection: Connection, text: str, floor_text: str, parameters: list[tuple[Any, ...]]
) -> list[tuple[bytes | None, list[tuple[Any, ...]]]]:
    pages: list[tuple[bytes | None, list[tuple[Any, ...]]]] = []
    for each in parameters:
        rows = connection.execute(text, each).fetchall()
        header = rows[0] if rows else connection.execute(floor_text, each[:2]).fetchone()
        pages.append((header[0] if header else None, [row[1:] for row in rows]))
    return pages
