"""The writing half of Cassandra's timelines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from feedstore.backends.cassandra.batches import ROW_BYTES, TOMBSTONE_BYTES, Write
from feedstore.backends.cassandra.changes import Added, Deleted, Removed
from feedstore.backends.cassandra.directory import Directory
from feedstore.backends.cassandra.lengths import look_at
from feedstore.backends.cassandra.store import Store
from feedstore.backends.cassandra.transaction import CassandraTransaction
from feedstore.backends.cassandra.trims import deletion, trims, trims_in_batch
from feedstore.backends.cassandra.values import bigint_value
from feedstore.ids import ID_BYTES, id_to_bytes
from feedstore.storage.timeline_hooks import TimelineHooks
from feedstore.storage.transaction import AUTOCOMMIT, Pending, Transaction

if TYPE_CHECKING:
    from feedstore.backends.cassandra.backend import CassandraBackend

_KIND = "timelines"


class CassandraTimelineWrites(TimelineHooks):
    """Adding, removing, trimming. Counts are None: a write does not read what was there."""

    backend: CassandraBackend

    def add_to_storage(
        self, key: str, serialized_activities: Mapping[int, bytes], transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int | None]:
        """One batch for each 500; all are sent at once."""
        self._deliver(transaction, [key], serialized_activities)
        store, namespace = self.backend.store, self.backend.namespace
        if store.memory.lengths.must_look(namespace, key, len(serialized_activities)):
            look_at(key, self._count)
        return Pending(None)

    def _add_if_absent(self, key: str, activity_id: int, data: bytes) -> bool:
        """One lightweight transaction: four trips between the nodes.

        One that timed out may have won, and its repetition is told that it lost: a claim that nobody then uses, until
        its deadline.
        """
        store, (name,) = self.backend.store_to_write(), self._names([key])
        rows = store.ask(store.statements.claim_entry, [data, name, id_to_bytes(activity_id)])
        self._directory.write_with(AUTOCOMMIT, [key.encode()], [])
        was_absent: bool = rows()[0][0]
        return was_absent

    def _add_to_many(
        self,
        keys: list[str],
        serialized: Mapping[int, bytes],
        max_length: int | None,
        transaction: Transaction = AUTOCOMMIT,
    ) -> Pending[int | None]:
        """One batch for each 50 deliveries on one replica; all are sent at once.

        Timelines are trimmed when this process has delivered enough to them since it last did, and when it meets them
        for the first time: each costs a read of ``max_length + 1`` ids and one range tombstone.
        """
        if max_length is None:
            self._deliver(transaction, keys, serialized)
            return Pending(None)
        store, namespace = self.backend.store_to_write(), self.backend.namespace
        excess = store.memory.excess
        due = excess.deliver(namespace, keys, len(serialized), max_length)
        try:
            self._deliver(transaction, keys, serialized, is_counted=True)
            if due:
                self._trim_all(transaction, due, max_length)
                if isinstance(transaction, CassandraTransaction):
                    transaction.trimmed.append((namespace, due))
        except BaseException:
            excess.forget(namespace, due)
            raise
        return Pending(None)

    def _deliver(
        self,
        transaction: Transaction,
        keys: Sequence[str],
        serialized: Mapping[int, bytes],
        is_counted: bool = False,
    ) -> None:
        store = self.backend.store_to_write()
        timestamp = bigint_value(store.clock.next())
        ids = [one.to_bytes(ID_BYTES, "big") for one in serialized]
        size = (ROW_BYTES + ID_BYTES) * len(ids)
        names = self._names(keys)
        if any(serialized.values()):
            statement, entries = store.statements.add_entry, list(zip(ids, serialized.values(), strict=True))
            size += sum(map(len, serialized.values()))
            writes = (
                Write((name,), [(statement, [timestamp, data, name, one]) for one, data in entries], size)
                for name in names
            )
        else:
            statement = store.statements.add_reference
            writes = (Write((name,), [(statement, [timestamp, name, one]) for one in ids], size) for name in names)
        _note(transaction, names, Added(serialized.keys()))
        if not is_counted:
            store.memory.excess.add(self.backend.namespace, keys, len(ids))
        self._directory.write_with(transaction, [key.encode() for key in keys], writes)

    def remove_from_storage(
        self, key: str, serialized_activities: Mapping[int, bytes], transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int | None]:
        """One batch for each 500; all are sent at once. Each leaves a tombstone behind."""
        return self._remove_from_many([key], serialized_activities, transaction)

    def _remove_from_many(
        self, keys: list[str], serialized: Mapping[int, bytes], transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int | None]:
        """One batch for each 50 removals on one replica; all are sent at once."""
        store = self.backend.store_to_write()
        statement, timestamp = store.statements.remove_entry, bigint_value(store.clock.next())
        ids = [id_to_bytes(one) for one in serialized]
        size = (TOMBSTONE_BYTES + ID_BYTES) * len(ids)
        names = self._names(keys)
        _note(transaction, names, Removed(serialized.keys()))
        writes = [Write((name,), [(statement, [timestamp, name, one]) for one in ids], size) for name in names]
        store.write(transaction, writes)
        return Pending(None)

    def _trim(self, key: str, length: int, transaction: Transaction = AUTOCOMMIT) -> Pending[int | None]:
        """One round trip that reads ``length + 1`` ids, and another one that writes one range tombstone."""
        self._trim_all(transaction, [key], length)
        return Pending(None)

    def _trim_all(self, transaction: Transaction, keys: Sequence[str], length: int) -> None:
        store, names = self.backend.store_to_write(), self._names(keys)
        if isinstance(transaction, CassandraTransaction) and transaction.is_atomic:
            for name in names:
                transaction.add(trims_in_batch(store, name, length, transaction))
            return
        store.send_collected(transaction)
        store.write_now(trims(store, names, length))

    def _delete(self, key: str, transaction: Transaction = AUTOCOMMIT) -> Pending[None]:
        self._delete_all(transaction, self.backend.store_to_write(), self._names([key]))
        return Pending(None)

    def _flush(self, transaction: Transaction = AUTOCOMMIT) -> Pending[None]:
        """One round trip for each 1,000 timelines, and a deletion of each."""
        store = self.backend.store_to_write()
        store.send_collected(transaction)
        for keys in self._directory.names():
            # A name that is not UTF-8 is damaged, and no timeline has it.
            sound = [key for key in (one.decode(errors="ignore") for one in keys) if key]
            self._delete_all(transaction, store, self._names(sound))
        self._directory.forget(transaction)
        return Pending(None)

    def _delete_all(self, transaction: Transaction, store: Store, names: Sequence[bytes]) -> None:
        epoch = store.clock.next()
        _note(transaction, names, Deleted(epoch))
        store.write(transaction, [deletion(store, name, epoch) for name in names])

    def _names(self, keys: Sequence[str]) -> list[bytes]:
        """Return the partition keys of timelines."""
        prefix = self._prefix
        return [(prefix + key).encode() for key in keys]

    @property
    def _prefix(self) -> str:
        """What stands before a key in a partition key; a namespace holds no colon."""
        return f"{self.backend.namespace}:"

    @property
    def _directory(self) -> Directory:
        return Directory(self.backend.store, self.backend.namespace, _KIND)


def _note(transaction: Transaction, names: Sequence[bytes], change: Added | Removed | Deleted) -> None:
    if isinstance(transaction, CassandraTransaction):
        for name in names:
            transaction.note(name, change)
