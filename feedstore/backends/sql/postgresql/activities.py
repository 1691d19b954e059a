"""The rows of activities in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import and_, bindparam, delete, select, update
from sqlalchemy.dialects.postgresql import insert

from feedstore.backends.sql.activity_rows import ActivityRows
from feedstore.backends.sql.connection import Connection
from feedstore.backends.sql.postgresql.arrays import any_id, each_row, in_parts
from feedstore.backends.sql.statements import Compiler
from feedstore.backends.sql.tables import activity_table

_ROWS_AT_ONCE = 10_000


class PostgresqlActivityRows(ActivityRows):
    """Arrays of ids and data. Rows are locked in the order of their ids, so that two writers of the same activities
    wait for each other and never in a circle.
    """

    def __init__(self, compiler: Compiler) -> None:
        text, columns = compiler.text, activity_table.c
        namespace: Any = bindparam("namespace", type_=columns.namespace_id.type)
        given = each_row()
        in_order = select(namespace, given.c.id, given.c.data).order_by(given.c.id)
        inserted = insert(activity_table).from_select(["namespace_id", "activity_id", "data"], in_order)
        self._insert = text(inserted.on_conflict_do_nothing(), "namespace", "ids", "data")
        these = columns.namespace_id == namespace, columns.activity_id == any_id
        in_namespace = columns.namespace_id == bindparam("same_namespace", type_=columns.namespace_id.type)
        to_replace = select(columns.activity_id, given.c.data).join_from(
            given, activity_table, and_(columns.namespace_id == namespace, columns.activity_id == given.c.id)
        )
        different = to_replace.where(columns.data.is_distinct_from(given.c.data)).order_by(columns.activity_id)
        locked = different.with_for_update(of=activity_table).subquery("locked")
        replaced = update(activity_table).values(data=locked.c.data)
        replaced = replaced.where(in_namespace, columns.activity_id == locked.c.activity_id)
        self._replace = text(replaced, "ids", "data", "namespace", "same_namespace")
        to_remove = select(columns.activity_id).where(*these).order_by(columns.activity_id).with_for_update()
        removed = delete(activity_table).where(in_namespace, columns.activity_id.in_(to_remove))
        self._remove = text(removed, "same_namespace", "namespace", "ids")
        self._find = text(select(columns.activity_id, columns.data).where(*these), "namespace", "ids")

    def add(self, connection: Connection, namespace_id: int, activities: list[tuple[bytes, bytes]]) -> int:
        """One statement for each 10,000, and another one where some were there before."""
        return sum(
            self._add_part(connection, namespace_id, part) for part in in_parts(sorted(activities), _ROWS_AT_ONCE)
        )

    def _add_part(self, connection: Connection, namespace_id: int, activities: Sequence[tuple[bytes, bytes]]) -> int:
        ids = [activity_id for activity_id, _ in activities]
        data = [data for _, data in activities]
        added: int = connection.execute(self._insert, (namespace_id, ids, data)).rowcount
        if added < len(activities):
            connection.execute(self._replace, (ids, data, namespace_id, namespace_id))
        return added

    def remove_statement(self, namespace_id: int, activity_ids: list[bytes]) -> tuple[str, Any]:
        """An array of ids."""
        return self._remove, (namespace_id, namespace_id, activity_ids)

    def find_statement(self, namespace_id: int, activity_ids: list[bytes]) -> tuple[str, Any]:
        """An array of ids."""
        return self._find, (namespace_id, activity_ids)
