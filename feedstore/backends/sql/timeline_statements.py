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

from feedstore.backends.sql.statements import Compiler, limited, this_namespace
from feedstore.backends.sql.tables import activity_table, entry_table, timeline_table
from feedstore.backends.sql.timeline_part import Part

_NAMESPACE_AND_KEY = ("namespace", "key")


class TimelineStatements:
    """The text of each read of a timeline; every one takes the namespace and the key first, unless it says more. Reads
    of a part take its parameters last.
    """

    def __init__(self, compiler: Compiler) -> None:
        self._compiler = compiler
        self._parts: dict[tuple[str, Part], str] = {}

    def slice(self, part: Part) -> str:
        """The entries."""
        return self._parts.get(("slice", part)) or self._add("slice", part, entries_of(part), timeline_id())

    def page(self, part: Part) -> str:
        """The entries, each behind the newest id that a trim dropped. The header is looked up once for both: 41 µs for
        25 entries on PostgreSQL and 11 on SQLite, where two subqueries take 45 and 17.
        """
        text = self._parts.get(("page", part))
        if text is None:
            header = select(timeline_table.c.id, timeline_table.c.newest_dropped).where(*is_header()).cte("header")
            newest_dropped = select(header.c.newest_dropped).scalar_subquery()
            columns = select(newest_dropped, *entries_of(part).selected_columns)
            text = self._add("page", part, columns, select(header.c.id).scalar_subquery())
        return text

    def hydrated_slice(self, part: Part) -> str:
        """The ids with the activities of a namespace, whose parameter comes first of all."""
        text = self._parts.get(("hydrated", part))
        if text is None:
            data = select(activity_table.c.data).where(
                activity_table.c.namespace_id == this_namespace("activities_namespace"),
                activity_table.c.activity_id == entry_table.c.activity_id,
            )
            columns = select(entry_table.c.activity_id, data.scalar_subquery())
            text = self._add("hydrated", part, columns, timeline_id(), "activities_namespace")
        return text

    def _add(self, kind: str, part: Part, columns: Select[Any], timeline: Any, *first: str) -> str:
        statement = rows_of(part, columns, timeline)
        text = self._compiler.text(statement, *first, *_NAMESPACE_AND_KEY, *part.parameters)
        self._parts[kind, part] = text
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

    def count_within(self, part: Part) -> str:
        """How many entries a part without a limit has."""
        text = self._parts.get(("count", part))
        if text is None:
            counted = bounded(select(func.count()).where(entry_table.c.timeline_id == timeline_id()), part)
            parameters = part.parameters[:-2]
            text = self._parts["count", part] = self._compiler.text(counted, *_NAMESPACE_AND_KEY, *parameters)
        return text

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
            .where(timeline_table.c.namespace_id == this_namespace())
            .where(timeline_table.c.key > bindparam("after"), timeline_table.c.length > literal_column("0"))
            .order_by(timeline_table.c.key)
        )
        return self._compiler.text(limited(statement), "namespace", "after", "limit")


def is_header() -> tuple[Any, Any]:
    """The conditions that find one timeline's header."""
    return timeline_table.c.namespace_id == this_namespace(), timeline_table.c.key == bindparam("key")


def timeline_id() -> Any:
    """The id of one timeline, as a scalar subquery."""
    return select(timeline_table.c.id).where(*is_header()).scalar_subquery()


def _one_entry() -> tuple[Any, Any]:
    return entry_table.c.timeline_id == timeline_id(), entry_table.c.activity_id == bindparam("activity")


def entries_of(part: Part) -> Select[Any]:
    """Return the columns of a part: the id, and the payload if it is read."""
    columns = select(entry_table.c.activity_id)
    return columns.add_columns(entry_table.c.data) if part.payloads else columns


def rows_of(part: Part, columns: Select[Any], timeline: Any) -> Select[Any]:
    """Return a statement on entries with the rows of one timeline's part alone, ordered, and with its parameters."""
    activity_id = entry_table.c.activity_id
    statement = bounded(columns.where(entry_table.c.timeline_id == timeline), part)
    statement = statement.order_by(activity_id.desc() if part.descending else activity_id.asc())
    if part.limit is not None:
        return statement.limit(literal_column(str(part.limit))).offset(literal_column("0"))
    limit, offset = (bindparam(name, type_=BigInteger) for name in ("limit", "offset"))
    return statement.limit(limit).offset(offset)


def bounded(statement: Select[Any], part: Part) -> Select[Any]:
    """Return a statement on entries with those within the bounds of a part alone."""
    activity_id = entry_table.c.activity_id
    if part.has_lowest:
        statement = statement.where(activity_id >= bindparam("lowest"))
    if part.has_highest:
        statement = statement.where(activity_id <= bindparam("highest"))
    return statement
