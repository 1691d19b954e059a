"""The session of a namespace in Cassandra, and the mark of the namespace: the format of its data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from feedstore.backends.cassandra.batches import ROW_BYTES, Write
from feedstore.backends.cassandra.floor import FLOOR_TIMESTAMP
from feedstore.backends.cassandra.memory import FAN_OUT_EXCESS
from feedstore.backends.cassandra.store import Store
from feedstore.backends.cassandra.transaction import CassandraTransaction
from feedstore.backends.cassandra.values import bigint_value, int_value
from feedstore.errors import NewerSchemaError, OutdatedSchemaError, StoredDataError
from feedstore.shown import shown
from feedstore.storage.abilities import Abilities, AtomicScope
from feedstore.storage.session import Operation, Pending, Session

FORMAT = 2
"""The format in which this release writes a namespace. Format 1 kept items in other partitions."""


def check_namespace_format(store: Store, namespace: str) -> None:
    """Check that the namespace has this release's format, with one round trip every ten minutes.

    Raises:
        NewerSchemaError: A newer release has written the namespace.
        OutdatedSchemaError: An older release has written it.
    """
    if not store.memory.knows(namespace):
        _found(store, namespace)


def mark_namespace(store: Store, namespace: str) -> None:
    """Write the mark of a new namespace before its first write, with up to two round trips every ten minutes.

    It raises the errors of :func:`check_namespace_format`.
    """
    if store.memory.knows(namespace) or _found(store, namespace):
        return
    # All marks have the same timestamp, so the higher format wins.
    values = [bigint_value(FLOOR_TIMESTAMP), int_value(FORMAT), namespace.encode()]
    store.write_now([Write((namespace.encode(),), [(store.statements.set_format, values)], ROW_BYTES)])
    store.memory.remember(namespace)


def _found(store: Store, namespace: str) -> bool:
    rows = store.fetch(store.statements.select_format, [namespace.encode()])
    if not rows:
        return False
    if rows[0][0] is None:
        raise StoredDataError(f"the mark of the namespace {shown(namespace)} is damaged: it has no format")
    if rows[0][0] > FORMAT:
        raise NewerSchemaError(
            f"the namespace {shown(namespace)} was written in format {rows[0][0]} by a newer release of feedstore; "
            f"this release reads up to format {FORMAT}: upgrade feedstore"
        )
    if rows[0][0] < FORMAT:
        raise OutdatedSchemaError(
            f"the namespace {shown(namespace)} was written in format {rows[0][0]} by an older release of feedstore; "
            f"this release reads format {FORMAT}: use another namespace, or export this one with the older release"
        )
    store.memory.remember(namespace)
    return True


class CassandraSession(Session[Store]):
    """A namespace in a keyspace. The driver's sessions are in :mod:`feedstore.backends.cassandra.driver`."""

    abilities = Abilities(
        exact_counts=False,
        exact_fan_out_length=False,
        fan_out_excess=FAN_OUT_EXCESS,
        atomic_deliveries=False,
        conditional_batches=False,
        atomic_scope=AtomicScope.EVENTUAL,
    )

    def store_to_read(self) -> Store:
        """Return the store after checking the namespace's format."""
        store = self.store
        memory = store.memory
        memory.journal.settle()
        if not memory.knows(self.namespace):
            check_namespace_format(store, self.namespace)
        return store

    def store_to_write(self) -> Store:
        """Return the store after marking a new namespace."""
        store = self.store
        memory = store.memory
        memory.journal.settle()
        if not memory.knows(self.namespace):
            mark_namespace(store, self.namespace)
        return store

    def _transact(self, operations: Sequence[Operation], atomic: bool) -> list[Pending[Any]]:
        store, transaction = self.store_to_write(), CassandraTransaction(atomic)
        try:
            results = [operation.write(transaction) for operation in operations]
            if transaction.writes:
                send = store.write_atomically if atomic else store.write_now
                send(transaction.taken())
        except BaseException:
            for namespace, keys in transaction.trimmed:
                store.memory.excess.forget(namespace, keys)
            raise
        return results

    def _durability_gap(self) -> str | None:
        return self.store.durability_gap()

    def _ping(self) -> None:
        self.store.ping()
