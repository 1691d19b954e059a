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
    payload = read_bytes(payload, f"the payload of {shown(item_id)}")
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
