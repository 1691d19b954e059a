"""The statements that read timelines, the same on every dialect.

A timeline's header is found by a scalar subquery rather than a join: PostgreSQL then knows that one timeline is read
and takes the entries in the order of the primary key, without sorting them. On SQLite both take the same time (9 and
10 µs for 25 entries). Activities beside the ids are looked up in a scalar subquery too: 19 µs for 25, where a join
takes 16; but 30 where it takes 147 behind an offset of 700, for SQLite looks nothing up for a row that it skips.
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
    """The text of each read of a timeline; every one takes the namespace and the key first, unless it says more."""

    def __init__(self, compiler: Compiler) -> None:
        self._compiler = compiler
        self._slices: dict[tuple[str, bool, bool], str] = {}

    def slice(self, bounded: bool, descending: bool) -> str:
        """Entries at positions, within the lowest and the highest id if ``bounded``."""
        key = ("slice", bounded, descending)
        if key not in self._slices:
            columns = select(entry_table.c.activity_id, entry_table.c.data)
            self._slices[key] = self._slice_text(columns, bounded, descending)
        return self._slices[key]

    def page(self, bounded: bool, descending: bool) -> str:
        """The same, and beside each entry the newest id that a trim dropped, which takes the namespace and the key once
        more, before the others.
        """
        key = ("page", bounded, descending)
        if key not in self._slices:
            newest_dropped = select(timeline_table.c.newest_dropped).where(*is_header()).scalar_subquery()
            columns = select(entry_table.c.activity_id, entry_table.c.data, newest_dropped)
            self._slices[key] = self._slice_text(columns, bounded, descending, *_NAMESPACE_AND_KEY)
        return self._slices[key]

    def hydrated_slice(self, bounded: bool, descending: bool) -> str:
        """The ids at positions with the activities of a namespace, whose parameter comes first of all."""
        key = ("hydrated", bounded, descending)
        if key not in self._slices:
            data = select(activity_table.c.data).where(
                activity_table.c.namespace_id == bindparam("activities_namespace"),
                activity_table.c.activity_id == entry_table.c.activity_id,
            )
            columns = select(entry_table.c.activity_id, data.scalar_subquery())
            self._slices[key] = self._slice_text(columns, bounded, descending, "activities_namespace")
        return self._slices[key]

    def _slice_text(self, columns: Select[Any], bounded: bool, descending: bool, *first: str) -> str:
        between = ("lowest", "highest") if bounded else ()
        statement = slice_of(columns, timeline_id(), bounded, descending)
        return self._compiler.text(statement, *first, *_NAMESPACE_AND_KEY, *between, *_SLICE)

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
