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
        after = select(columns.activity_id, columns.data).where(in_namespace, columns.activity_id > bindparam("after"))
        self.after = text(limited(after.order_by(columns.activity_id)), "namespace", "after", "limit")
        ids = select(columns.activity_id).where(in_namespace).order_by(columns.activity_id)
        self.id_at = text(row_at(ids), "namespace", "position")
        up_to = delete(activity_table).where(in_namespace, columns.activity_id <= bindparam("last"))
        self.delete_up_to = text(up_to, "namespace", "last")
        self.delete_all = text(delete(activity_table).where(in_namespace), "namespace")
