"""The rows of activities in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import and_, bindparam, delete, select, true, update
from sqlalchemy.dialects.postgresql import insert

from feedstore.backends.sql.compiler import Compiler, this_namespace
from feedstore.backends.sql.connection import Connection
from feedstore.backends.sql.dialect import ActivityRows
from feedstore.backends.sql.postgresql.arrays import each_id, each_row, in_parts, looked_up
from feedstore.backends.sql.tables import activity_table

_ROWS_AT_ONCE = 10_000
_kept = activity_table.alias("kept").c
_namespace: Any = this_namespace()


class PostgresqlActivityRows(ActivityRows):
    """Arrays of ids and data. Rows are locked in the order of their ids, so that two writers of the same activities
    wait for each other and never in a circle.
    """

    def __init__(self, compiler: Compiler) -> None:
        text, given = compiler.text, each_row()
        in_order = select(_namespace, given.c.id, given.c.data).order_by(given.c.id)
        inserted = insert(activity_table).from_select(["namespace_id", "activity_id", "data"], in_order)
        self._insert = text(inserted.on_conflict_do_nothing(), "namespace", "ids", "data")
        different = _stored(given).where(_kept.data.is_distinct_from(given.c.data))
        locked = looked_up(different.with_for_update(), "locked")
        to_replace = select(locked, given.c.data).select_from(given.join(locked, true())).subquery("to_replace")
        replaced = update(activity_table).values(data=to_replace.c.data).where(_is_row_of(to_replace))
        self._replace = text(replaced, "ids", "data", "namespace")
        bare = each_id()
        locked = looked_up(_stored(bare).with_for_update(), "locked")
        to_remove = select(locked).select_from(bare.join(locked, true())).subquery("to_remove")
        self._remove = text(delete(activity_table).where(_is_row_of(to_remove)), "ids", "namespace")
        found = looked_up(select(_kept.activity_id, _kept.data).where(*_has_id(bare)), "found")
        self._find = text(select(found).select_from(bare.join(found, true())), "ids", "namespace")
        is_it = _kept.namespace_id == _namespace, _kept.activity_id == bindparam("id")
        self._find_one = text(select(_kept.activity_id, _kept.data).where(*is_it), "namespace", "id")

    def add(self, connection: Connection, namespace: str, activities: list[tuple[bytes, bytes]]) -> int:
        """One statement for each 10,000, and another one where some were there before."""
        return sum(self._add_part(connection, namespace, part) for part in in_parts(sorted(activities), _ROWS_AT_ONCE))

    def _add_part(self, connection: Connection, namespace: str, activities: Sequence[tuple[bytes, bytes]]) -> int:
        ids = [activity_id for activity_id, _ in activities]
        data = [data for _, data in activities]
        added: int = connection.execute(self._insert, (namespace, ids, data)).rowcount
        if added < len(activities):
            connection.execute(self._replace, (ids, data, namespace))
        return added

    def remove_statement(self, namespace: str, activity_ids: list[bytes]) -> tuple[str, Any]:
        """An array of ids."""
        return self._remove, (sorted(activity_ids), namespace)

    def find_statement(self, namespace: str, activity_ids: list[bytes]) -> tuple[str, Any]:
        """An array of ids; one alone is compared, which is planned in less time than it is found."""
        if len(activity_ids) == 1:
            return self._find_one, (namespace, activity_ids[0])
        return self._find, (activity_ids, namespace)


def _has_id(given: Any) -> tuple[Any, Any]:
    return _kept.namespace_id == _namespace, _kept.activity_id == given.c.id


def _stored(given: Any) -> Any:
    return select(_kept.namespace_id, _kept.activity_id).where(*_has_id(given))


def _is_row_of(chosen: Any) -> Any:
    # Both columns come from the rows that were locked: a condition on the namespace alone would let the planner begin
    # with the whole namespace.
    columns = activity_table.c
    return and_(columns.namespace_id == chosen.c.namespace_id, columns.activity_id == chosen.c.activity_id)
