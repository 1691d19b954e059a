"""The session of a namespace in Cassandra."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from feedstore.backends.cassandra.excess import FAN_OUT_EXCESS
from feedstore.backends.cassandra.namespaces import check_namespace_format, mark_namespace
from feedstore.backends.cassandra.store import Store
from feedstore.backends.cassandra.transaction import CassandraTransaction
from feedstore.storage.abilities import Abilities, AtomicScope
from feedstore.storage.session import Operation, Pending, Session


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
