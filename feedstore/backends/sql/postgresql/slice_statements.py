"""The statements that read the same slice of many timelines in PostgreSQL.

They depend on the shape of the slice, so SQLAlchemy Core builds them from the parts that both dialects share.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import LargeBinary, bindparam, column, func, literal_column, select, true
from sqlalchemy.dialects.postgresql import ARRAY

from feedstore.backends.sql.compiler import Compiler, this_namespace
from feedstore.backends.sql.tables import timeline_table
from feedstore.backends.sql.timeline_statements import SliceShape, entries_of, rows_of

_namespace: Any = this_namespace()


class SliceStatements:
    """The text of each statement, by the shape of the slice. The keys are an array."""

    def __init__(self, compiler: Compiler) -> None:
        self._compiler = compiler
        self._slices: dict[SliceShape, str] = {}
        self._pages: dict[SliceShape, str] = {}

    def slices(self, shape: SliceShape) -> str:
        """Return the statement that reads the position of a key and the entries of its slice, for each key."""
        text = self._slices.get(shape)
        if text is None:
            wanted = _each_key()
            header = _header_of(wanted)
            entries = rows_of(shape, entries_of(shape), header.c.id).lateral("slice")
            joined = wanted.join(header, true()).join(entries, true())
            statement = select(wanted.c.number, *entries.columns).select_from(joined)
            activity_id = entries.c.activity_id
            ordered = statement.order_by(wanted.c.number, activity_id.desc() if shape.descending else activity_id.asc())
            text = self._slices[shape] = self._compiler.text(ordered, "keys", "namespace", *shape.parameters)
        return text

    def pages(self, shape: SliceShape) -> str:
        """Return the statement that reads the position of a key, the newest id that a trim dropped and the entries.

        A key without entries in its slice gets one row, with NULL instead of the entry.
        """
        text = self._pages.get(shape)
        if text is None:
            wanted = _each_key()
            columns = timeline_table.alias("header").c
            of_key = columns.namespace_id == _namespace, columns.key == wanted.c.key
            header = _looked_up(select(columns.id, columns.newest_dropped).where(*of_key), "found")
            entries = rows_of(shape, entries_of(shape), header.c.id).lateral("slice")
            joined = wanted.join(header, true()).outerjoin(entries, true())
            statement = select(wanted.c.number, header.c.newest_dropped, *entries.columns).select_from(joined)
            activity_id = entries.c.activity_id
            ordered = statement.order_by(wanted.c.number, activity_id.desc() if shape.descending else activity_id.asc())
            text = self._pages[shape] = self._compiler.text(ordered, "keys", "namespace", *shape.parameters)
        return text


def _each_key() -> Any:
    """Return the array ``keys`` as a table with the columns ``key`` and ``number``, which counts from 1."""
    keys = func.unnest(bindparam("keys", type_=ARRAY(LargeBinary)))
    columns = column("key", LargeBinary)
    return keys.table_valued(columns, with_ordinality="number", name="wanted").render_derived()


def _header_of(wanted: Any) -> Any:
    header = timeline_table.alias("header").c
    return _looked_up(select(header.id).where(header.namespace_id == _namespace, header.key == wanted.c.key), "found")


def _looked_up(found: Any, name: str) -> Any:
    """Return the one row that ``found`` selects for each row to its left.

    The limit makes the planner use the index for each, as the statements in ``timelines.sql`` do.
    """
    return found.limit(literal_column("1")).lateral(name)
