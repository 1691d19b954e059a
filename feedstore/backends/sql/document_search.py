"""The SQL of searches: filters, conditions on paths, orders, and cursors."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from hashlib import blake2b
from typing import Any

from feedstore.backends.sql.column_types import to_microseconds
from feedstore.backends.sql.document_sql import MARK, DocumentDialect, Sql, one_of
from feedstore.errors import InvalidCursorError
from feedstore.storage.documents.query import Condition, DocumentFilter, DocumentQuery, Order
from feedstore.storage.documents.words import parse_text_query
from feedstore.storage.page import altered_cursor, decode_checked, encode_checked

_CURSOR_VERSION = 1
_SYMBOLS = {"eq": "=", "gt": ">", "ge": ">=", "lt": "<", "le": "<="}
_COLUMNS = {
    "creation": ("i.created", "number"),
    "modification": ("i.updated", "number"),
    "item_id": ("i.item_id", "text"),
}
_DIGEST_BYTES = 8

IN_NAMESPACE = f"n.namespace_id = (SELECT id FROM feedstore_namespace WHERE name = {MARK})"
NODES = "feedstore_pubsub_node n"
DOCUMENTS = "feedstore_pubsub_item i JOIN feedstore_pubsub_node n ON n.id = i.node_id"


def filter_parts(namespace: str, where: DocumentFilter) -> list[Sql]:
    """Return the conditions of a filter on ``n`` and ``i``, the namespace first."""
    parts = [Sql(IN_NAMESPACE, (namespace,))]
    columns = {"accounts": "account", "services": "service", "nodes": "name", "types": "type", "subtypes": "subtype"}
    for name, column in columns.items():
        values = getattr(where, name)
        if values is not None:
            parts.append(one_of(f"n.{column}", values))
    for column, time in (("created", where.created_before), ("updated", where.updated_before)):
        if time is not None:
            parts.append(Sql(f"i.{column} < {MARK}", (to_microseconds(time),)))
    return parts


@dataclass(frozen=True)
class SortColumn:
    """An expression that is never NULL, its direction, and the kind of its values in a cursor."""

    sql: Sql
    is_descending: bool
    kind: str


class SearchSql:
    """The statement of one search, and the cursor of its next page."""

    def __init__(self, dialect: DocumentDialect, namespace: str, query: DocumentQuery) -> None:
        self._dialect = dialect
        self._query = query
        self._conditions = filter_parts(namespace, query)
        self._join = ""
        self._rank = Sql("0")
        if query.item_ids is not None:
            self._conditions.append(one_of("i.item_id", query.item_ids))
        if query.text is not None:
            self._join, condition, self._rank = dialect.full_text(parse_text_query(query.text))
            self._conditions.append(condition)
        builder = ConditionSql(dialect)
        self._conditions += [builder.build(condition) for condition in query.conditions]
        self._columns = self._sort_columns()
        self.needs_lower = builder.needs_lower
        self._by_offset = any(order.by == "rank" for order in query.order_by)

    def statement(self) -> Sql:
        """Return the statement for the ids of rows, the keys of nodes and the values of the orders."""
        conditions, offset = list(self._conditions), self._query.index
        if self._query.cursor is not None:
            place = self._decoded(self._query.cursor)
            if self._by_offset:
                (offset,) = place
            else:
                conditions.append(self._after(place))
        columns = Sql.joined(", ", [Sql("i.id, n.account, n.service, n.name"), *(one.sql for one in self._columns)])
        orders = [one.sql.wrapped("", " DESC" if one.is_descending else "") for one in self._columns]
        rest = (
            Sql.joined(" AND ", conditions).wrapped(f" FROM {DOCUMENTS}{self._join} WHERE ", " ORDER BY "),
            Sql.joined(", ", orders),
            Sql(f" LIMIT {MARK} OFFSET {MARK}", (self._query.limit + 1, offset)),
        )
        return Sql.joined("", [columns.wrapped("SELECT ", ""), *rest])

    def next_cursor(self, rows: Sequence[Sequence[Any]]) -> str | None:
        """Return the cursor after the last row of the page, or None if ``rows`` has no row beyond the limit."""
        limit = self._query.limit
        if len(rows) <= limit:
            return None
        if self._by_offset:
            start = self._query.index if self._query.cursor is None else self._decoded(self._query.cursor)[0]
            place: list[Any] = [start + limit]
        else:
            place = [str(one) if isinstance(one, Decimal) else one for one in rows[limit - 1][4:]]
        body = [_CURSOR_VERSION, self._digest(), place]
        return encode_checked(json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode())

    def _sort_columns(self) -> list[SortColumn]:
        columns: list[SortColumn] = []
        last = False
        for order in self._query.order_by:
            last = order.direction == "desc"
            columns += self._columns_of(order, last)
        return [*columns, SortColumn(Sql("i.id"), last, "number")]

    def _columns_of(self, order: Order, descending: bool) -> list[SortColumn]:
        if order.by == "rank":
            return [SortColumn(self._rank, descending, "number")]
        if order.by is not None:
            column, kind = _COLUMNS[order.by]
            return [SortColumn(Sql(column), descending, kind)]
        assert isinstance(order.path, tuple)
        number, text = self._dialect.number(order.path), self._dialect.key_text(order.path)
        is_missing = f"CASE WHEN {number} IS NULL AND {text} IS NULL THEN 1 ELSE 0 END"
        return [
            SortColumn(Sql(is_missing), False, "number"),
            SortColumn(Sql(f"CASE WHEN {number} IS NULL THEN 1 ELSE 0 END"), descending, "number"),
            SortColumn(Sql(f"COALESCE({number}, 0)"), descending, "exact"),
            SortColumn(Sql(f"COALESCE({text}, '')"), descending, "text"),
        ]

    def _after(self, place: Sequence[Any]) -> Sql:
        """Return the condition that a row comes after a place in the order."""
        columns = self._columns
        if len({one.is_descending for one in columns}) == 1:
            sign = "<" if columns[0].is_descending else ">"
            names = Sql.joined(", ", [one.sql for one in columns]).wrapped("(", f") {sign} ")
            values = Sql(f"({', '.join([MARK] * len(place))})", tuple(place))
            return Sql.joined("", [names, values])
        alternatives = []
        for number, (column, value) in enumerate(zip(columns, place, strict=True)):
            equal = [
                Sql(f"{one.sql.text} = {MARK}", (same,))
                for one, same in zip(columns[:number], place[:number], strict=True)
            ]
            beyond = Sql(f"{column.sql.text} {'<' if column.is_descending else '>'} {MARK}", (value,))
            alternatives.append(Sql.joined(" AND ", [*equal, beyond]).wrapped("("))
        return Sql.joined(" OR ", alternatives).wrapped("(")

    def _decoded(self, cursor: str) -> list[Any]:
        try:
            version, digest, place = json.loads(decode_checked(cursor))
        except (ValueError, TypeError, RecursionError) as error:
            if isinstance(error, InvalidCursorError):
                raise
            raise altered_cursor(cursor) from None
        if version != _CURSOR_VERSION or digest != self._digest():
            raise InvalidCursorError("the cursor belongs to another query; pass the same query with another limit only")
        kinds = ["number"] if self._by_offset else [one.kind for one in self._columns]
        if not isinstance(place, list) or len(place) != len(kinds):
            raise altered_cursor(cursor)
        try:
            return [self._cursor_value(kind, value) for kind, value in zip(kinds, place, strict=True)]
        except (TypeError, ValueError, ArithmeticError):
            raise altered_cursor(cursor) from None

    def _cursor_value(self, kind: str, value: Any) -> Any:
        if kind == "text" and isinstance(value, str) and "\0" not in value:
            return value
        if kind == "exact":
            number = Decimal(value) if isinstance(value, str) else value
            return number if isinstance(number, Decimal) else self._dialect.number_parameter(number)
        if kind == "number" and type(value) is int and -(2**63) <= value < 2**63:
            return value
        raise TypeError

    def _digest(self) -> str:
        same = replace(self._query, cursor=None, limit=1, index=0)
        return blake2b(str(same).encode(), digest_size=_DIGEST_BYTES).hexdigest()


class ConditionSql:
    """The builder of conditions on paths. ``needs_lower`` says whether one of them needs SQLite's function."""

    def __init__(self, dialect: DocumentDialect) -> None:
        self._dialect = dialect
        self.needs_lower = False
        self._builders: dict[str, Callable[[tuple[str | int, ...], Any], Sql]] = {
            "eq": self._equals,
            "in": self._is_in,
            "ne": lambda path, value: self._present_and_not(path, self._equals(path, value)),
            "not_in": lambda path, values: self._present_and_not(path, self._is_in(path, values)),
            "between": self._is_between,
        }

    def build(self, condition: Condition) -> Sql:
        """Return the SQL of a checked condition."""
        path, op, value = condition.path, condition.op, condition.value
        assert isinstance(path, tuple)
        if op in self._builders:
            return self._builders[op](path, value)
        if op.endswith(("overlap", "disjoint")):
            overlaps = self._overlaps(path, value, ignores_case=op.startswith("i"))
            return overlaps.wrapped("NOT COALESCE(", ", FALSE)") if op.endswith("disjoint") else overlaps
        if op.endswith("like"):
            return self._is_like(path, op, value)
        return self._compared(path, _SYMBOLS[op], value)

    def _compared(self, path: tuple[str | int, ...], symbol: str, value: Any) -> Sql:
        if isinstance(value, str):
            return Sql(f"{self._dialect.key_text(path)} {symbol} {MARK}", (value,))
        return Sql(f"{self._dialect.number(path)} {symbol} {MARK}", (self._dialect.number_parameter(value),))

    def _is_between(self, path: tuple[str | int, ...], bounds: tuple[Any, Any]) -> Sql:
        return Sql.joined(" AND ", [self._compared(path, ">=", bounds[0]), self._compared(path, "<=", bounds[1])])

    def _equals(self, path: tuple[str | int, ...], value: Any) -> Sql:
        if value is None:
            return Sql(f"NOT COALESCE({self._dialect.exists(path)}, FALSE)")
        if isinstance(value, bool):
            return Sql(self._dialect.is_bool(path, value))
        return self._compared(path, "=", value)

    def _is_in(self, path: tuple[str | int, ...], values: tuple[Any, ...]) -> Sql:
        numbers = [self._dialect.number_parameter(one) for one in values if _is_number(one)]
        texts = [one for one in values if isinstance(one, str)]
        parts = [self._equals(path, one) for one in values if one is None or isinstance(one, bool)]
        if numbers:
            parts.append(one_of(self._dialect.number(path), numbers))
        if texts:
            parts.append(one_of(self._dialect.key_text(path), texts))
        return Sql.joined(" OR ", parts).wrapped("(") if parts else Sql("1 = 0")

    def _present_and_not(self, path: tuple[str | int, ...], condition: Sql) -> Sql:
        return condition.wrapped(f"({self._dialect.exists(path)} AND NOT COALESCE(", ", FALSE))")

    def _overlaps(self, path: tuple[str | int, ...], values: tuple[Any, ...], ignores_case: bool) -> Sql:
        self.needs_lower = True
        numbers = [self._dialect.number_parameter(one) for one in values if _is_number(one)]
        texts = [one.lower() if ignores_case else one for one in values if isinstance(one, str)]
        names = {None: "null", True: "true", False: "false"}
        kinds = [names[one] for one in values if one is None or isinstance(one, bool)]
        columns = (("number", numbers), ("lowered" if ignores_case else "string", texts), ("kind", kinds))
        parts = [one_of(column, found) for column, found in columns if found]
        return self._dialect.elements(path, Sql.joined(" OR ", parts).wrapped("(") if parts else Sql("1 = 0"))

    def _is_like(self, path: tuple[str | int, ...], op: str, pattern: str) -> Sql:
        ignores_case = op.endswith("ilike")
        self.needs_lower = self.needs_lower or ignores_case
        matches = self._dialect.matches_pattern(self._dialect.whole_text(path), pattern, ignores_case)
        return matches.wrapped("NOT (") if op.startswith("not_") else matches


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
