"""Bulk statements on activities in SQLite."""

from __future__ import annotations

from typing import Any

from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.dialects.sqlite import insert

from feedstore.backends.sql.activity_writes import ActivityWrites
from feedstore.backends.sql.connection import Connection
from feedstore.backends.sql.statements import Compiler
from feedstore.backends.sql.tables import activity_table


class SqliteActivityWrites(ActivityWrites):
    """Rows one after the other under one prepared statement, which in SQLite is no round trip each."""

    def __init__(self, compiler: Compiler) -> None:
        columns = activity_table.c
        one = columns.namespace_id == bindparam("namespace"), columns.activity_id == bindparam("activity")
        self._insert = compiler.text(
            insert(activity_table).on_conflict_do_nothing(), "namespace_id", "activity_id", "data"
        )
        self._replace = compiler.text(
            update(activity_table).where(*one).values(data=bindparam("new_data")), "new_data", "namespace", "activity"
        )
        self._remove = compiler.text(delete(activity_table).where(*one), "namespace", "activity")
        self._compiler = compiler
        self._find: dict[int, str] = {}

    def add(self, connection: Connection, namespace_id: int, activities: list[tuple[bytes, bytes]]) -> int:
        """The rows are inserted where they are new; only where some were not are they replaced too."""
        rows = [(namespace_id, activity_id, data) for activity_id, data in activities]
        added: int = connection.executemany(self._insert, rows).rowcount
        if added < len(rows):
            replaced = [(data, namespace_id, activity_id) for activity_id, data in activities]
            connection.executemany(self._replace, replaced)
        return added

    def remove(self, connection: Connection, namespace_id: int, activity_ids: list[bytes]) -> int:
        """One delete for each, under one prepared statement."""
        rows = [(namespace_id, activity_id) for activity_id in activity_ids]
        removed: int = connection.executemany(self._remove, rows).rowcount
        return removed

    def find_statement(self, namespace_id: int, activity_ids: list[bytes]) -> tuple[str, Any]:
        """A list of parameters, filled up to one of a few sizes so that few statements are prepared."""
        size = padded_size(len(activity_ids))
        text = self._find.get(size)
        if text is None:
            columns = activity_table.c
            names = [f"activity_{number}" for number in range(size)]
            listed = columns.activity_id.in_([bindparam(name) for name in names])
            statement = select(columns.activity_id, columns.data).where(
                columns.namespace_id == bindparam("namespace"), listed
            )
            text = self._find[size] = self._compiler.text(statement, "namespace", *names)
        return text, (namespace_id, *activity_ids, *[activity_ids[-1]] * (size - len(activity_ids)))


def padded_size(length: int) -> int:
    """Return the size of parameter list for ``length`` values: the next power of two."""
    return 1 << (length - 1).bit_length()
