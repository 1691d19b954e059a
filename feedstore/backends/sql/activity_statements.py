"""The statements on activities that are the same on every dialect."""

from __future__ import annotations

from sqlalchemy import bindparam, delete, select

from feedstore.backends.sql.statements import Compiler, limited, row_at, this_namespace
from feedstore.backends.sql.tables import activity_table


class ActivityStatements:
    """The text of each; every one takes the namespace first."""

    def __init__(self, compiler: Compiler) -> None:
        columns, text = activity_table.c, compiler.text
        in_namespace = columns.namespace_id == this_namespace()
        in_range = columns.activity_id >= bindparam("first"), columns.activity_id < bindparam("behind")
        rows = select(columns.activity_id, columns.data).where(in_namespace, *in_range)
        self.between = {
            descending: text(limited(rows.order_by(order)), "namespace", "first", "behind", "limit")
            for descending, order in ((False, columns.activity_id.asc()), (True, columns.activity_id.desc()))
        }
        ids = select(columns.activity_id).where(in_namespace).order_by(columns.activity_id)
        self.id_at = text(row_at(ids), "namespace", "position")
        up_to = delete(activity_table).where(in_namespace, columns.activity_id <= bindparam("last"))
        self.delete_up_to = text(up_to, "namespace", "last")
        self.delete_all = text(delete(activity_table).where(in_namespace), "namespace")
