"""The statements on nodes and documents that have one form, and the values of their rows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from feedstore.backends.sql.column_types import from_microseconds, to_microseconds
from feedstore.backends.sql.document_search import IN_NAMESPACE
from feedstore.backends.sql.document_sql import MARK, Sql
from feedstore.backends.sql.stored import read_bytes
from feedstore.errors import StoredDataError
from feedstore.shown import shown
from feedstore.storage.documents.values import (
    Document,
    DocumentNode,
    NodeKey,
    SyncState,
    stored_object,
)

NODE_COLUMNS = (
    "n.account, n.service, n.name, n.subscribed, n.analyser, n.sync_state, n.sync_state_updated, n.sync_reason, "
    "n.sync_token, n.type, n.subtype, CAST(n.extra AS TEXT)"
)
ORDER_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "creation": ("i.created", "i.id"),
    "modification": ("i.updated", "i.id"),
    "item_id": ("i.item_id",),
}
NODE_PARAMETERS = ("namespace", "account", "service", "name")
PLACE_PARAMETERS = ("first_of_place", "second_of_place")
INSERT_DOCUMENTS = (
    "INSERT INTO feedstore_pubsub_item (node_id, item_id, payload, publisher, parsed, words, created, updated) VALUES "
)
REPLACE_DOCUMENTS = (
    " ON CONFLICT (node_id, item_id) DO UPDATE SET payload = excluded.payload, publisher = excluded.publisher, "
    "parsed = excluded.parsed, words = excluded.words, updated = excluded.updated"
)


def is_node(key: NodeKey, namespace: str) -> Sql:
    """Return the conditions on ``n`` that choose a node."""
    conditions = f"{IN_NAMESPACE} AND n.account = {MARK} AND n.service = {MARK} AND n.name = {MARK}"
    return Sql(conditions, (namespace, *key))


def node_id(key: NodeKey, namespace: str) -> Sql:
    """Return the number of a node as a scalar subquery."""
    return is_node(key, namespace).wrapped("(SELECT n.id FROM feedstore_pubsub_node n WHERE ")


def document_columns(parsed: str) -> str:
    """Return the columns that :func:`read_document` reads."""
    return f"i.id, i.item_id, i.payload, i.publisher, {parsed}, i.created, i.updated"


def read_document(row: Sequence[Any]) -> Document:
    """Return the document of a row with :func:`document_columns`."""
    _, item_id, payload, publisher, parsed, created, updated = row
    if payload.__class__ is not bytes:
        read_bytes(payload, f"the payload of {shown(item_id)}")
    return Document(item_id, payload, publisher, parsed, _time(created, item_id), _time(updated, item_id))


def _time(value: Any, item_id: Any) -> datetime:
    try:
        return from_microseconds(value)
    except (TypeError, OverflowError) as error:
        raise StoredDataError(
            f"a time of {shown(item_id)} is damaged: {shown(value)} is no number of a time"
        ) from error


def read_node(row: Sequence[Any]) -> DocumentNode:
    """Return the node of a row with :data:`NODE_COLUMNS`."""
    account, service, name, subscribed, analyser, state, updated, reason, token, kind, subtype, extra = row
    try:
        sync_state = None if state is None else SyncState(state)
    except ValueError as error:
        raise StoredDataError(f"the state of the node {shown(name)} is damaged: {shown(state)} is no state") from error
    return DocumentNode(
        NodeKey(account, service, name),
        bool(subscribed),
        analyser,
        sync_state,
        None if updated is None else _time(updated, name),
        reason,
        token,
        kind,
        subtype,
        None if extra is None else stored_object(extra, name),
    )


def stored_field(name: str, value: Any) -> Any:
    """Return the stored form of a node's field."""
    if value is None:
        return None
    if name == "sync_state":
        return value.value
    if name == "sync_state_updated":
        return to_microseconds(value)
    if name == "extra":
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return value


def page_sql(parsed: str, order_by: str, end: str, descending: bool) -> Sql:
    """Return the statement of a page, with the names of its parameters in place of their values.

    Each row has the number of the node's documents, and the number of those before the page, or before its end.

    Args:
        parsed: The expression of the parsed content as text.
        order_by: The order.
        end: ``after`` or ``before`` if the page begins or ends at a place, ``newest`` for the last documents without
            the two numbers, else an empty str.
        descending: Whether the rows are read from the end of the order.
    """
    columns = ORDER_COLUMNS[order_by]
    if end == "newest":
        rows = _rows_sql(columns, Sql(""), descending)
        return rows.wrapped(f"SELECT {document_columns(parsed)} FROM (", ") i")
    count = _NAMED_NODE.wrapped("(SELECT count(*) FROM feedstore_pubsub_item i WHERE i.node_id = ", "")
    preceding = Sql(f"CAST({MARK} AS BIGINT)", ("position",))
    if end:
        preceding = Sql.joined("", [count, _at_place(columns, "<=" if end == "after" else "<"), Sql(")")])
    head = Sql.joined(", ", [count.wrapped("", ") AS total"), preceding.wrapped("", " AS preceding")])
    condition = _at_place(columns, ">" if end == "after" else "<") if end else Sql("")
    rows = _rows_sql(columns, condition, descending)
    selected = f"SELECT head.total, head.preceding, {document_columns(parsed)} FROM "
    return Sql.joined(
        "", [Sql(selected), head.wrapped("(SELECT ", ") head LEFT JOIN "), rows.wrapped("(", ") i ON 1 = 1")]
    )


def _rows_sql(columns: Sequence[str], condition: Sql, descending: bool) -> Sql:
    order = ", ".join(f"{column}{' DESC' if descending else ''}" for column in columns)
    start = _NAMED_NODE.wrapped("SELECT i.* FROM feedstore_pubsub_item i WHERE i.node_id = ", "")
    end = Sql(f" ORDER BY {order} LIMIT {MARK} OFFSET {MARK}", ("limit", "position"))
    return Sql.joined("", [start, condition, end])


def _at_place(columns: Sequence[str], sign: str) -> Sql:
    marks = ", ".join([MARK] * len(columns))
    return Sql(f" AND ({', '.join(columns)}) {sign} ({marks})", PLACE_PARAMETERS[: len(columns)])


_NAMED_NODE = node_id(NodeKey(*NODE_PARAMETERS[1:]), NODE_PARAMETERS[0])
