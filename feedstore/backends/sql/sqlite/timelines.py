"""Writes of timelines in SQLite."""

from __future__ import annotations

from sqlalchemy import bindparam, delete, func, insert, literal_column, select, update
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from feedstore.backends.sql.connection import Connection
from feedstore.backends.sql.statements import Compiler
from feedstore.backends.sql.tables import entry_table, timeline_table
from feedstore.backends.sql.timeline_statements import is_header
from feedstore.backends.sql.timeline_writes import EntryRow, TimelineWrites


class SqliteTimelineWrites(TimelineWrites):
    """The transaction's one write lock stands for the locks of all headers."""

    def __init__(self, compiler: Compiler) -> None:
        header, entry = timeline_table.c, entry_table.c
        self._compiler = compiler
        self._find_header = compiler.text(select(header.id, header.length).where(*is_header()), "namespace", "key")
        self._create = compiler.text(
            insert(timeline_table).values(
                namespace_id=bindparam("namespace"), key=bindparam("key"), length=bindparam("length")
            ),
            "namespace",
            "key",
            "length",
        )
        self._grow = compiler.text(
            update(timeline_table)
            .where(header.id == bindparam("timeline"))
            .values(length=header.length + bindparam("more")),
            "more",
            "timeline",
        )
        self._insert = compiler.text(
            sqlite_insert(entry_table).on_conflict_do_nothing(), "timeline_id", "activity_id", "data"
        )
        one = entry.timeline_id == bindparam("timeline"), entry.activity_id == bindparam("activity")
        self._replace = compiler.text(
            update(entry_table).where(*one).values(data=bindparam("new_data")), "new_data", "timeline", "activity"
        )
        self._remove = compiler.text(delete(entry_table).where(*one), "timeline", "activity")
        self._newest_dropped = compiler.text(
            select(entry.activity_id)
            .where(entry.timeline_id == bindparam("timeline"))
            .order_by(entry.activity_id.desc())
            .limit(literal_column("1"))
            .offset(bindparam("length")),
            "timeline",
            "length",
        )
        self._drop = compiler.text(
            delete(entry_table).where(
                entry.timeline_id == bindparam("timeline"), entry.activity_id <= bindparam("bound")
            ),
            "timeline",
            "bound",
        )
        self._trimmed = compiler.text(
            update(timeline_table)
            .where(header.id == bindparam("timeline"))
            .values(
                length=bindparam("new_length"),
                newest_dropped=func.max(func.coalesce(header.newest_dropped, bindparam("bound")), bindparam("bound")),
            ),
            "new_length",
            "bound",
            "bound",
            "timeline",
        )
        self._drop_all = compiler.text(
            delete(entry_table).where(entry.timeline_id == bindparam("timeline")), "timeline"
        )
        self._drop_header = compiler.text(delete(timeline_table).where(header.id == bindparam("timeline")), "timeline")
        self._some = compiler.text(
            select(header.id)
            .where(header.namespace_id == bindparam("namespace"))
            .limit(bindparam("limit"))
            .offset(literal_column("0")),
            "namespace",
            "limit",
        )

    def lock(self, connection: Connection, namespace_id: int, keys: list[bytes]) -> None:
        """Nothing to do: BEGIN IMMEDIATE has locked the database."""

    def _header(self, connection: Connection, namespace_id: int, key: bytes) -> tuple[int, int]:
        row = connection.execute(self._find_header, (namespace_id, key)).fetchone()
        if row is None:
            return connection.execute(self._create, (namespace_id, key, 0)).lastrowid, 0
        return int(row[0]), int(row[1])

    def add(self, connection: Connection, namespace_id: int, key: bytes, entries: list[EntryRow]) -> int:
        """Insert what is new; only where some were there replace the payloads too."""
        timeline, _ = self._header(connection, namespace_id, key)
        rows = [(timeline, activity_id, data) for activity_id, data in entries]
        added: int = connection.executemany(self._insert, rows).rowcount
        if added < len(rows):
            connection.executemany(self._replace, [(data, timeline, activity_id) for activity_id, data in entries])
        if added:
            connection.execute(self._grow, (added, timeline))
        return added

    def add_to_many(
        self,
        connection: Connection,
        namespace_id: int,
        keys: list[bytes],
        entries: list[EntryRow],
        max_length: int | None,
    ) -> int:
        """One timeline after the other."""
        added = 0
        for key in keys:
            added += self.add(connection, namespace_id, key, entries)
            if max_length is not None:
                self.trim(connection, namespace_id, key, max_length)
        return added

    def remove_from_many(
        self, connection: Connection, namespace_id: int, keys: list[bytes], activity_ids: list[bytes]
    ) -> int:
        """One timeline after the other."""
        total = 0
        for key in keys:
            row = connection.execute(self._find_header, (namespace_id, key)).fetchone()
            if row is None:
                continue
            rows = [(row[0], activity_id) for activity_id in activity_ids]
            removed = connection.executemany(self._remove, rows).rowcount
            if removed:
                connection.execute(self._grow, (-removed, row[0]))
            total += removed
        return total

    def trim(self, connection: Connection, namespace_id: int, key: bytes, length: int) -> int:
        """Find the newest entry to go, and delete it with all below it."""
        row = connection.execute(self._find_header, (namespace_id, key)).fetchone()
        if row is None or row[1] <= length:
            return 0
        timeline, before = int(row[0]), int(row[1])
        bound = connection.execute(self._newest_dropped, (timeline, length)).fetchone()[0]
        connection.execute(self._drop, (timeline, bound))
        connection.execute(self._trimmed, (length, bound, bound, timeline))
        return before - length

    def delete(self, connection: Connection, namespace_id: int, key: bytes) -> None:
        """Entries first, then the header."""
        row = connection.execute(self._find_header, (namespace_id, key)).fetchone()
        if row is not None:
            connection.execute(self._drop_all, (row[0],))
            connection.execute(self._drop_header, (row[0],))

    def delete_some(self, connection: Connection, namespace_id: int) -> bool:
        """A hundred timelines at a time."""
        timelines = connection.execute(self._some, (namespace_id, 100)).fetchall()
        connection.executemany(self._drop_all, timelines)
        connection.executemany(self._drop_header, timelines)
        return len(timelines) == 100
