"""The statements that read timelines, the same on every dialect.

A timeline's header is found by a scalar subquery rather than a join: PostgreSQL then knows that one timeline is read
and takes the entries in the order of the primary key, without sorting them.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

from sqlalchemy import BigInteger, Select, bindparam, func, literal_column, select

from feedstore.backends.sql.statements import Compiler, limited
from feedstore.backends.sql.tables import activity_table, entry_table, timeline_table

_NAMESPACE_AND_KEY = ("namespace", "key")
_SLICE = ("limit", "offset")


class TimelineStatements:
    """The text of each read of a timeline; every one takes the namespace and the key first."""

    def __init__(self, compiler: Compiler) -> None:
        self._compiler = compiler
        self._slices: dict[tuple[bool, bool], str] = {}
        self._hydrated_slices: dict[tuple[bool, bool], str] = {}

    def slice(self, bounded: bool, descending: bool) -> str:
        """Entries at positions, within the lowest and the highest id if ``bounded``."""
        text = self._slices.get((bounded, descending))
        if text is None:
            columns = select(entry_table.c.activity_id, entry_table.c.data)
            text = self._compiler.text(
                slice_of(columns, timeline_id(), bounded, descending),
                *_NAMESPACE_AND_KEY,
                *_bound_names(bounded),
                *_SLICE,
            )
            self._slices[bounded, descending] = text
        return text

    def hydrated_slice(self, bounded: bool, descending: bool) -> str:
        """The ids at positions with the activities of a namespace, whose parameter comes first of all."""
        text = self._hydrated_slices.get((bounded, descending))
        if text is None:
            data = select(activity_table.c.data).where(
                activity_table.c.namespace_id == bindparam("activities_namespace"),
                activity_table.c.activity_id == entry_table.c.activity_id,
            )
            columns = select(entry_table.c.activity_id, data.scalar_subquery())
            names = ("activities_namespace", *_NAMESPACE_AND_KEY, *_bound_names(bounded), *_SLICE)
            text = self._compiler.text(slice_of(columns, timeline_id(), bounded, descending), *names)
            self._hydrated_slices[bounded, descending] = text
        return text

    @cached_property
    def index_of(self) -> str:
        """How many entries are newer than an id; no row if it is not there."""
        newer = entry_table.alias("newer")
        position = select(func.count()).where(
            newer.c.timeline_id == entry_table.c.timeline_id, newer.c.activity_id > entry_table.c.activity_id
        )
        statement = select(position.scalar_subquery()).where(*_one_entry())
        return self._compiler.text(statement, *_NAMESPACE_AND_KEY, "activity")

    @cached_property
    def contains(self) -> str:
        """A row if the timeline holds an id."""
        statement = select(entry_table.c.activity_id).where(*_one_entry())
        return self._compiler.text(statement, *_NAMESPACE_AND_KEY, "activity")

    @cached_property
    def count(self) -> str:
        """The length in the header."""
        return self._compiler.text(select(timeline_table.c.length).where(*is_header()), *_NAMESPACE_AND_KEY)

    @cached_property
    def newest_dropped(self) -> str:
        """The newest id that a trim dropped, in the header."""
        return self._compiler.text(select(timeline_table.c.newest_dropped).where(*is_header()), *_NAMESPACE_AND_KEY)

    @cached_property
    def keys(self) -> str:
        """The next keys of timelines that hold an entry, in their order."""
        statement = (
            select(timeline_table.c.key)
            .where(timeline_table.c.namespace_id == bindparam("namespace"))
            .where(timeline_table.c.key > bindparam("after"), timeline_table.c.length > literal_column("0"))
            .order_by(timeline_table.c.key)
        )
        return self._compiler.text(limited(statement), "namespace", "after", "limit")


def is_header() -> tuple[Any, Any]:
    """The conditions that find one timeline's header."""
    return timeline_table.c.namespace_id == bindparam("namespace"), timeline_table.c.key == bindparam("key")


def timeline_id() -> Any:
    """The id of one timeline, as a scalar subquery."""
    return select(timeline_table.c.id).where(*is_header()).scalar_subquery()


def _one_entry() -> tuple[Any, Any]:
    return entry_table.c.timeline_id == timeline_id(), entry_table.c.activity_id == bindparam("activity")


def _bound_names(bounded: bool) -> tuple[str, ...]:
    return ("lowest", "highest") if bounded else ()


def slice_of(statement: Select[Any], timeline: Any, bounded: bool, descending: bool) -> Select[Any]:
    """Return a statement on entries with the rows of one timeline alone, ordered, within the parameters ``lowest`` and
    ``highest`` if ``bounded``, and with the parameters ``limit`` and ``offset``.
    """
    activity_id = entry_table.c.activity_id
    statement = statement.where(entry_table.c.timeline_id == timeline)
    if bounded:
        statement = statement.where(activity_id >= bindparam("lowest"), activity_id <= bindparam("highest"))
    limit, offset = (bindparam(name, type_=BigInteger) for name in _SLICE)
    return statement.order_by(activity_id.desc() if descending else activity_id.asc()).limit(limit).offset(offset)
