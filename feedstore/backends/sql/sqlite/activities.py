"""The rows of activities in SQLite."""

from __future__ import annotations

from typing import Any

from sqlalchemy import bindparam, delete, select, update

from feedstore.backends.sql.compiler import Compiler, this_namespace
from feedstore.backends.sql.connection import Connection
from feedstore.backends.sql.dialect import ActivityRows
from feedstore.backends.sql.sqlite.arrays import each_id, for_each, positions
from feedstore.backends.sql.sqlite.rows import NamespaceIds, RowInserts
from feedstore.backends.sql.tables import activity_table


class SqliteActivityRows(ActivityRows):
    """The rows of activities. Each method uses a few statements for all rows."""

    def __init__(self, compiler: Compiler) -> None:
        columns, in_namespace = activity_table.c, activity_table.c.namespace_id == this_namespace()
        self._inserts = RowInserts(compiler, activity_table)
        self._namespace_ids = NamespaceIds(compiler)
        replaced = update(activity_table).where(in_namespace, columns.activity_id == bindparam("activity"))
        self._replace = compiler.text(replaced.values(data=bindparam("new_data")), "new_data", "namespace", "activity")
        removed = delete(activity_table).where(in_namespace, columns.activity_id.in_(select(each_id)))
        self._remove = compiler.text(removed, "namespace", "ids", "array")
        found = select(columns.activity_id, columns.data).select_from(for_each(activity_table))
        self._find = compiler.text(
            found.where(in_namespace, columns.activity_id == each_id), "array", "namespace", "ids"
        )

    def add(self, connection: Connection, namespace: str, activities: list[tuple[bytes, bytes]]) -> int:
        """Insert the new rows. Only if some ids were stored before, replace the data of all."""
        namespace_id = self._namespace_ids.find(connection, namespace)
        added = self._inserts.insert(connection, [(namespace_id, *activity) for activity in activities])
        if added < len(activities):
            rows = [(data, namespace, activity_id) for activity_id, data in activities]
            connection.executemany(self._replace, rows)
        return added

    def remove_statement(self, namespace: str, activity_ids: list[bytes]) -> tuple[str, Any]:
        """Return a statement that takes a run of ids."""
        return self._remove, (namespace, b"".join(activity_ids), positions(len(activity_ids)))

    def find_statement(self, namespace: str, activity_ids: list[bytes]) -> tuple[str, Any]:
        """Return a statement that looks each id of a run up."""
        return self._find, (positions(len(activity_ids)), namespace, b"".join(activity_ids))
