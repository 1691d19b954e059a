"""The rows of timelines in PostgreSQL."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from feedstore.backends.sql.compiler import Compiler
from feedstore.backends.sql.connection import Connection
from feedstore.backends.sql.database import Database
from feedstore.backends.sql.postgresql.arrays import in_parts
from feedstore.backends.sql.postgresql.timeline_statements import PostgresqlTimelineStatements
from feedstore.backends.sql.timeline_statements import SliceShape
from feedstore.backends.sql.timeline_writer import Header, StoredEntry, TimelineWriter

_FLUSHED_AT_ONCE = 100
_ROWS_AT_ONCE = 100_000
_FEW_ENTRIES = 4


class PostgresqlTimelineWriter(TimelineWriter):
    """Each step is one statement, whatever the number of timelines and entries.

    Headers are locked in the order of their numbers by the statement that reads them; what comes after it sees all
    that others have committed before it had the locks. (Seen without the lock: two trims at once left 11 entries of
    10. With locks in any order, and with headers made under the locks of others: deadlocks.)
    """

    def __init__(self, compiler: Compiler) -> None:
        self._statements = PostgresqlTimelineStatements(compiler)

    def fetch_slices(
        self, database: Database, namespace: str, keys: list[str], shape: SliceShape, parameters: tuple[Any, ...]
    ) -> list[list[tuple[Any, ...]]]:
        """One statement."""
        slices: list[list[tuple[Any, ...]]] = [[] for _ in keys]
        for row in database.fetch(self._statements.slices(shape), (_encoded(keys), namespace, *parameters)):
            slices[row[0] - 1].append(row[1:])
        return slices

    def fetch_pages(
        self, database: Database, namespace: str, keys: list[str], shape: SliceShape, parameters: tuple[Any, ...]
    ) -> list[tuple[bytes | None, list[tuple[Any, ...]]]]:
        """One statement."""
        dropped: list[bytes | None] = [None for _ in keys]
        pages: list[list[tuple[Any, ...]]] = [[] for _ in keys]
        for number, newest_dropped, *entry in database.fetch(
            self._statements.pages(shape), (_encoded(keys), namespace, *parameters)
        ):
            dropped[number - 1] = newest_dropped
            # A timeline without entries in this part has one row, which brings the floor alone.
            if entry[0] is not None:
                pages[number - 1].append(tuple(entry))
        return list(zip(dropped, pages, strict=True))

    def contained_statement(self, namespace: str, key: str, activity_ids: list[bytes]) -> tuple[str, Any]:
        """One look-up for each id."""
        return self._statements.contained, (activity_ids, namespace, key.encode())

    def array(self, timelines: list[int]) -> list[int]:
        """The list itself."""
        return timelines

    def lock(self, connection: Connection, namespace: str, keys: list[str], new_keys: list[str]) -> None:
        """One statement; three more where headers are missing."""
        if keys:
            encoded, required = _encoded(keys), set(new_keys)
            while required.difference(self._lock(connection, namespace, encoded)):
                self._create_unlocked(connection, namespace, new_keys)

    def _lock(self, connection: Connection, namespace: str, keys: list[bytes]) -> list[str]:
        """Lock the headers that are there, and return their keys."""
        rows = connection.execute(self._statements.lock_headers, (keys, namespace)).fetchall()
        return [key.decode() for (key,) in rows]

    def headers(self, connection: Connection, namespace: str, keys: list[str]) -> list[Header]:
        """One statement."""
        headers: list[Header] = connection.execute(self._statements.headers, (_encoded(keys), namespace)).fetchall()
        return headers

    def headers_to_write(self, connection: Connection, namespace: str, keys: list[str]) -> list[Header]:
        """One statement; four where some are missing, and more only while another one deletes these timelines."""
        headers = self.headers(connection, namespace, keys)
        while len(headers) < len(keys):
            self._create_unlocked(connection, namespace, keys)
            headers = self.headers(connection, namespace, keys)
        return headers

    def keyed_headers_to_write(self, connection: Connection, namespace: str, keys: list[str]) -> dict[str, Header]:
        """As :meth:`headers_to_write`."""
        encoded = _encoded(keys)
        rows = connection.execute(self._statements.keyed_headers, (encoded, namespace)).fetchall()
        while len(rows) < len(keys):
            self._create_unlocked(connection, namespace, keys)
            rows = connection.execute(self._statements.keyed_headers, (encoded, namespace)).fetchall()
        return {key.decode(): (timeline, length) for key, timeline, length in rows}

    def _create_unlocked(self, connection: Connection, namespace: str, keys: list[str]) -> None:
        """Make the headers that are missing. Where nothing was written yet, begin again without locks first: who waits
        for another's new header while he holds locks may wait in a circle.
        """
        if not connection.shared:
            # Undoing the nothing that was done would make the driver forget every statement that it has prepared.
            connection.execute("COMMIT AND CHAIN")
        connection.execute(self._statements.create_headers, (namespace, _encoded(keys), namespace))

    def insert(
        self, connection: Connection, timelines: list[int], array: Any, entries: list[StoredEntry]
    ) -> dict[int, int]:
        """One statement for each 100,000 rows, and another one where some were there before."""
        held: dict[int, int] = defaultdict(int)
        for entries_part in in_parts(entries, _ROWS_AT_ONCE):
            for timelines_part in in_parts(timelines, max(1, _ROWS_AT_ONCE // len(entries_part))):
                for timeline, count in self._insert_part(connection, timelines_part, entries_part).items():
                    held[timeline] += count
        return held

    def _insert_part(
        self, connection: Connection, timelines: Sequence[int], entries: Sequence[StoredEntry]
    ) -> dict[int, int]:
        ids = [activity_id for activity_id, _ in entries]
        data = [data for _, data in entries]
        counts = (len(ids), timelines, len(timelines) * len(ids), len(ids))
        if all(each is None for each in data):
            parameters: tuple[Any, ...] = (timelines, ids, *counts)
            held = dict(connection.execute(self._statements.insert_ids, parameters).fetchall())
            if held:
                connection.execute(self._statements.remove_data, (list(held), ids))
        else:
            parameters = (timelines, ids, data, *counts)
            held = dict(connection.execute(self._statements.insert_rows, parameters).fetchall())
            if held:
                connection.execute(self._statements.replace_rows, (list(held), ids, data))
        return held

    def remove(self, connection: Connection, timelines: list[int], activity_ids: list[bytes]) -> dict[int, int]:
        """One statement."""
        return dict(connection.execute(self._statements.delete_ids, (timelines, activity_ids)).fetchall())

    def lengthen(self, connection: Connection, more: int, array: Any) -> None:
        """One statement."""
        connection.execute(self._statements.lengthen, (more, array))

    def shorten(self, connection: Connection, length: int, surplus: int, timelines: list[int], array: Any) -> None:
        """One statement for a few entries of each, else two."""
        if surplus <= _FEW_ENTRIES:
            connection.execute(self._statements.drop_few, (array, surplus, length, surplus))
        else:
            connection.execute(self._statements.shorten, (length, surplus - 1, array))
            connection.execute(self._statements.drop_oldest, (array, surplus))

    def drop(self, connection: Connection, timelines: list[int]) -> None:
        """Two statements."""
        connection.execute(self._statements.delete_all, (timelines,))
        connection.execute(self._statements.delete_headers, (timelines,))

    def drop_some(self, connection: Connection, namespace: str) -> bool:
        """A hundred timelines."""
        found = connection.execute(self._statements.some_headers, (namespace, _FLUSHED_AT_ONCE)).fetchall()
        # Locked in the order of all writers. Those that another one has dropped meanwhile are gone.
        locked = connection.execute(self._statements.lock_timelines, (_numbers(found),)).fetchall()
        self.drop(connection, _numbers(locked))
        return len(found) == _FLUSHED_AT_ONCE


def _numbers(rows: list[tuple[int]]) -> list[int]:
    return [number for (number,) in rows]


def _encoded(keys: list[str]) -> list[bytes]:
    return [key.encode() for key in keys]
