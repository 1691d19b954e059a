"""The rows of timelines in PostgreSQL."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import chain
from typing import Any

from feedstore.backends.sql.compiler import Compiler, in_parts
from feedstore.backends.sql.connection import Connection
from feedstore.backends.sql.database import Database
from feedstore.backends.sql.postgresql.slice_statements import SliceStatements
from feedstore.backends.sql.postgresql.statements import load_statements
from feedstore.backends.sql.timeline_statements import SliceShape
from feedstore.backends.sql.timeline_writer import Header, StoredEntry, TimelineWriter
from feedstore.storage.session import Operation

_FLUSHED_PER_TRANSACTION = 100
_ROWS_PER_STATEMENT = 100_000
_FEW_ENTRIES = 4


class PostgresqlTimelineWriter(TimelineWriter):
    """The writes of timelines. Each step is one statement, independent of the number of timelines and entries.

    The statement that reads headers locks them in the order of their numbers. The statements after it see all rows that
    were committed before it had the locks. (Seen without the lock: two concurrent trims left 11 entries of 10. Seen
    with locks in any order, and with headers created while others were locked: deadlocks.)
    """

    def __init__(self, compiler: Compiler) -> None:
        self._slices = SliceStatements(compiler)
        self._statements = load_statements("timelines")

    def fetch_slices(
        self, database: Database, namespace: str, keys: list[str], shape: SliceShape, parameters: tuple[Any, ...]
    ) -> list[list[tuple[Any, ...]]]:
        """One statement."""
        slices: list[list[tuple[Any, ...]]] = [[] for _ in keys]
        for row in database.fetch(self._slices.slices(shape), (_encoded(keys), namespace, *parameters)):
            slices[row[0] - 1].append(row[1:])
        return slices

    def fetch_pages(
        self, database: Database, namespace: str, keys: list[str], shape: SliceShape, parameters: tuple[Any, ...]
    ) -> list[tuple[bytes | None, list[tuple[Any, ...]]]]:
        """One statement."""
        dropped: list[bytes | None] = [None for _ in keys]
        pages: list[list[tuple[Any, ...]]] = [[] for _ in keys]
        for number, newest_dropped, *entry in database.fetch(
            self._slices.pages(shape), (_encoded(keys), namespace, *parameters)
        ):
            dropped[number - 1] = newest_dropped
            # A timeline without entries in this slice has one row, which holds only the floor.
            if entry[0] is not None:
                pages[number - 1].append(tuple(entry))
        return list(zip(dropped, pages, strict=True))

    def contained_statement(self, namespace: str, key: str, activity_ids: list[bytes]) -> tuple[str, Any]:
        """One look-up for each id."""
        return self._statements["contained"], {"ids": activity_ids, "namespace": namespace, "key": key.encode()}

    def array(self, timelines: list[int]) -> list[int]:
        """The list itself."""
        return timelines

    def lock(self, connection: Connection, namespace: str, operations: Sequence[Operation]) -> bool:
        """One statement; three more where headers are missing."""
        keys = list(dict.fromkeys(chain.from_iterable(operation.keys for operation in operations)))
        made = False
        while keys and len(self.headers(connection, namespace, keys)) < len(keys):
            self._create_unlocked(connection, namespace, keys)
            made = True
        return made

    def headers(self, connection: Connection, namespace: str, keys: list[str]) -> list[Header]:
        """One statement."""
        headers: list[Header] = connection.execute(
            self._statements["headers"], _wanted(_encoded(keys), namespace)
        ).fetchall()
        return headers

    def headers_to_write(self, connection: Connection, namespace: str, keys: list[str]) -> list[Header]:
        """Use one statement, or four if some headers are missing; more only during a concurrent deletion."""
        headers = self.headers(connection, namespace, keys)
        while len(headers) < len(keys):
            self._create_unlocked(connection, namespace, keys)
            headers = self.headers(connection, namespace, keys)
        return headers

    def keyed_headers_to_write(self, connection: Connection, namespace: str, keys: list[str]) -> dict[str, Header]:
        """As :meth:`headers_to_write`."""
        wanted = _wanted(_encoded(keys), namespace)
        rows = connection.execute(self._statements["keyed_headers"], wanted).fetchall()
        while len(rows) < len(keys):
            self._create_unlocked(connection, namespace, keys)
            rows = connection.execute(self._statements["keyed_headers"], wanted).fetchall()
        return {key.decode(): (timeline, length) for key, timeline, length in rows}

    def _create_unlocked(self, connection: Connection, namespace: str, keys: list[str]) -> None:
        """Create the missing headers. If nothing was written yet, begin a new transaction without locks first.

        A transaction that holds locks and waits for another transaction's new header may wait in a circle.
        """
        if not connection.shared:
            # A rollback would make the driver forget every statement that it has prepared.
            connection.execute("COMMIT AND CHAIN")
        connection.execute(self._statements["create_headers"], _wanted(_encoded(keys), namespace))

    def insert(
        self, connection: Connection, timelines: list[int], array: Any, entries: list[StoredEntry]
    ) -> dict[int, int]:
        """One statement for each 100,000 rows, and another one where some were there before."""
        held: dict[int, int] = defaultdict(int)
        for entries_part in in_parts(entries, _ROWS_PER_STATEMENT):
            for timelines_part in in_parts(timelines, max(1, _ROWS_PER_STATEMENT // len(entries_part))):
                for timeline, count in self._insert_part(connection, timelines_part, entries_part).items():
                    held[timeline] += count
        return held

    def _insert_part(
        self, connection: Connection, timelines: Sequence[int], entries: Sequence[StoredEntry]
    ) -> dict[int, int]:
        ids = [activity_id for activity_id, _ in entries]
        data = [data for _, data in entries]
        parameters = {"timelines": timelines, "ids": ids, "entries": len(ids), "rows": len(timelines) * len(ids)}
        insert, replace = "insert_ids", "remove_data"
        if any(each is not None for each in data):
            insert, replace = "insert_rows", "replace_rows"
            parameters["data"] = data
        held = dict(connection.execute(self._statements[insert], parameters).fetchall())
        if held:
            parameters["timelines"] = list(held)
            connection.execute(self._statements[replace], parameters)
        return held

    def remove(self, connection: Connection, timelines: list[int], activity_ids: list[bytes]) -> dict[int, int]:
        """One statement."""
        return dict(
            connection.execute(self._statements["delete_ids"], {"timelines": timelines, "ids": activity_ids}).fetchall()
        )

    def lengthen(self, connection: Connection, more: int, array: Any) -> None:
        """One statement."""
        connection.execute(self._statements["lengthen"], {"more": more, "timelines": array})

    def shorten(self, connection: Connection, length: int, surplus: int, timelines: list[int], array: Any) -> None:
        """One statement for a few entries of each, else two."""
        parameters = {"timelines": array, "new_length": length, "surplus": surplus, "position": surplus - 1}
        if surplus <= _FEW_ENTRIES:
            connection.execute(self._statements["drop_few"], parameters)
        else:
            connection.execute(self._statements["shorten"], parameters)
            connection.execute(self._statements["drop_oldest"], parameters)

    def drop(self, connection: Connection, timelines: list[int]) -> None:
        """Two statements."""
        connection.execute(self._statements["delete_all"], {"timelines": timelines})
        connection.execute(self._statements["delete_headers"], {"timelines": timelines})

    def drop_some(self, connection: Connection, namespace: str) -> bool:
        """A hundred timelines."""
        parameters = {"namespace": namespace, "limit": _FLUSHED_PER_TRANSACTION}
        found = connection.execute(self._statements["some_headers"], parameters).fetchall()
        # Locked in the order of all writers. A concurrent writer may have deleted some of them.
        locked = connection.execute(self._statements["lock_timelines"], {"timelines": _numbers(found)}).fetchall()
        self.drop(connection, _numbers(locked))
        return len(found) == _FLUSHED_PER_TRANSACTION


def _numbers(rows: list[tuple[int]]) -> list[int]:
    return [number for (number,) in rows]


def _wanted(keys: list[bytes], namespace: str) -> dict[str, object]:
    return {"keys": keys, "namespace": namespace}


def _encoded(keys: list[str]) -> list[bytes]:
    return [key.encode() for key in keys]
