"""Arrays as parameters: one statement, and one round trip, for any number of rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from sqlalchemy import BigInteger, LargeBinary, bindparam, column, func, literal_column
from sqlalchemy.dialects.postgresql import ARRAY

_Value = TypeVar("_Value")
_keys = bindparam("keys", type_=ARRAY(LargeBinary))
_ids = bindparam("ids", type_=ARRAY(LargeBinary))
_data = bindparam("data", type_=ARRAY(LargeBinary))
_timelines = bindparam("timelines", type_=ARRAY(BigInteger))

any_timeline: Any = func.any(_timelines)
"""What a timeline's number is compared with, to be one of the array ``timelines``."""


def each_timeline() -> Any:
    """The array ``timelines`` as a table with the column ``id``."""
    return func.unnest(_timelines).table_valued(column("id", BigInteger), name="these").render_derived()


def each_key() -> Any:
    """The array ``keys`` as a table with the columns ``key`` and ``number``, which counts from 1."""
    columns = column("key", LargeBinary)
    return func.unnest(_keys).table_valued(columns, with_ordinality="number", name="wanted").render_derived()


def each_row() -> Any:
    """The arrays ``ids`` and ``data`` side by side as a table with the columns ``id`` and ``data``."""
    columns = column("id", LargeBinary), column("data", LargeBinary)
    return func.unnest(_ids, _data).table_valued(*columns, name="given").render_derived()


def each_id() -> Any:
    """The array ``ids`` as a table with the column ``id``."""
    return func.unnest(_ids).table_valued(column("id", LargeBinary), name="given").render_derived()


def looked_up(found: Any, name: str) -> Any:
    """The one row that ``found`` selects for each row to its left, by the index.

    Without the limit, the planner may begin at the other end where its statistics know nothing of a new namespace or
    timeline: of 20,000 activities a removal then took 25 seconds.
    """
    return found.limit(literal_column("1")).lateral(name)


def in_parts(values: Sequence[_Value], size: int) -> Iterator[Sequence[_Value]]:
    """Yield the values in parts of ``size``: a statement has a bounded length and a bounded time."""
    if len(values) <= size:
        yield values
    else:
        for start in range(0, len(values), size):
            yield values[start : start + size]
