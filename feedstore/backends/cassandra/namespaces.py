"""The mark of each namespace: the format in which it is written."""

from __future__ import annotations

from feedstore.backends.cassandra.batches import ROW_BYTES, Write
from feedstore.backends.cassandra.floor import FLOOR_TIMESTAMP
from feedstore.backends.cassandra.store import Store
from feedstore.backends.cassandra.values import bigint_value, int_value
from feedstore.errors import NewerSchemaError, OutdatedSchemaError, StoredDataError
from feedstore.shown import shown

FORMAT = 2
"""The format in which this release writes a namespace. In format 1 items lay elsewhere."""


def check_namespace_format(store: Store, namespace: str) -> None:
    """Raise :class:`NewerSchemaError` or :class:`OutdatedSchemaError` if another release has written the namespace in
    its own format. One round trip each ten minutes.
    """
    if not store.memory.knows(namespace):
        _found(store, namespace)


def mark_namespace(store: Store, namespace: str) -> None:
    """Mark a namespace that is about to be written to, if it is new. Up to two round trips each ten minutes."""
    if store.memory.knows(namespace) or _found(store, namespace):
        return
    # All marks have one timestamp, and of two formats the higher stays.
    values = [bigint_value(FLOOR_TIMESTAMP), int_value(FORMAT), namespace.encode()]
    store.write_now([Write((namespace.encode(),), [(store.statements.set_format, values)], ROW_BYTES)])
    store.memory.remember(namespace)


def _found(store: Store, namespace: str) -> bool:
    rows = store.fetch(store.statements.select_format, [namespace.encode()])
    if not rows:
        return False
    if rows[0][0] is None:
        raise StoredDataError(f"the mark of the namespace {shown(namespace)} is damaged: it holds no format")
    if rows[0][0] > FORMAT:
        raise NewerSchemaError(
            f"the namespace {shown(namespace)} was written in format {rows[0][0]} by a newer release of feedstore; "
            "this one "
            f"reads up to format {FORMAT}: upgrade feedstore"
        )
    if rows[0][0] < FORMAT:
        raise OutdatedSchemaError(
            f"the namespace {shown(namespace)} was written in format {rows[0][0]} by an older release of feedstore; "
            f"this one reads format {FORMAT}: use another namespace, or export it with that release"
        )
    store.memory.remember(namespace)
    return True
