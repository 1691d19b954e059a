"""The writing half of Cassandra's timelines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from feedstore.backends.cassandra.batches import ROW_BYTES, TOMBSTONE_BYTES, Write
from feedstore.backends.cassandra.changes import Added, Deleted, Removed
from feedstore.backends.cassandra.directory import Directory
from feedstore.backends.cassandra.lengths import warn_of_length
from feedstore.backends.cassandra.trims import deletion, trims, trims_in_batch
from feedstore.backends.cassandra.values import bigint_value
from feedstore.ids import ID_BYTES, id_to_bytes
from feedstore.storage.timeline_hooks import TimelineHooks

if TYPE_CHECKING:
    from feedstore.backends.cassandra.backend import CassandraBackend

_KIND = "timelines"


class CassandraTimelineWrites(TimelineHooks):
    """Adding, removing, trimming. Counts are None: a write does not read what was there."""

    backend: CassandraBackend

    def add_to_storage(self, key: str, serialized_activities: Mapping[int, bytes]) -> None:
        """One batch for each 500; all are sent at once."""
        self._deliver([key], serialized_activities)
        store, namespace = self.backend.store, self.backend.namespace
        if store.memory.lengths.must_look(namespace, key, len(serialized_activities)):
            warn_of_length(key, self._count(key))

    def _add_if_absent(self, key: str, activity_id: int, data: bytes) -> bool:
        """One lightweight transaction: four trips between the nodes.

        One that timed out may have won, and its repetition is told that it lost: a claim that nobody then uses, until
        its deadline.
        """
        store, namespace, name = self.backend.store_to_write(), self.backend.namespace.encode(), key.encode()
        self._directory.write_with([name], [])
        rows = store.fetch(store.statements.claim_entry, [data, namespace, name, id_to_bytes(activity_id)])
        was_absent: bool = rows[0][0]
        return was_absent

    def _add_to_many(self, keys: list[str], serialized: Mapping[int, bytes], max_length: int | None) -> None:
        """One batch for each 50 deliveries on one replica; all are sent at once.

        Timelines are trimmed when this process has delivered enough to them since it last did, and when it meets them
        for the first time: each costs a read of ``max_length + 1`` ids and one range tombstone.
        """
        if max_length is None:
            self._deliver(keys, serialized)
            return
        store, namespace = self.backend.store_to_write(), self.backend.namespace
        excess = store.memory.excess
        due = excess.deliver(namespace, keys, len(serialized), max_length)
        try:
            self._deliver(keys, serialized, is_counted=True)
            if due:
                self._trim_all(due, max_length)
        except BaseException:
            excess.forget(namespace, due)
            raise

    def _deliver(self, keys: Sequence[str], serialized: Mapping[int, bytes], is_counted: bool = False) -> None:
        store, namespace = self.backend.store_to_write(), self.backend.namespace.encode()
        statement, timestamp = store.statements.add_entry, bigint_value(store.clock.next())
        entries = [(id_to_bytes(one), data) for one, data in serialized.items()]
        size = (ROW_BYTES + ID_BYTES) * len(entries) + sum(map(len, serialized.values()))
        names = [key.encode() for key in keys]
        writes = [
            Write(
                (namespace, name),
                [(statement, [timestamp, data, namespace, name, activity_id]) for activity_id, data in entries],
                size,
            )
            for name in names
        ]
        self._note(keys, Added(serialized.keys()))
        if not is_counted:
            store.memory.excess.add(self.backend.namespace, keys, len(entries))
        self._directory.write_with(names, writes)

    def remove_from_storage(self, key: str, serialized_activities: Mapping[int, bytes]) -> None:
        """One batch for each 500; all are sent at once. Each leaves a tombstone behind."""
        self._remove_from_many([key], serialized_activities)

    def _remove_from_many(self, keys: list[str], serialized: Mapping[int, bytes]) -> None:
        """One batch for each 50 removals on one replica; all are sent at once."""
        store, namespace = self.backend.store_to_write(), self.backend.namespace.encode()
        statement, timestamp = store.statements.remove_entry, bigint_value(store.clock.next())
        ids = [id_to_bytes(one) for one in serialized]
        size = (TOMBSTONE_BYTES + ID_BYTES) * len(ids)
        partitions = [(namespace, key.encode()) for key in keys]
        self._note(keys, Removed(serialized.keys()))
        store.write(
            [Write(one, [(statement, [timestamp, *one, removed]) for removed in ids], size) for one in partitions]
        )

    def _trim(self, key: str, length: int) -> None:
        """One round trip that reads ``length + 1`` ids, and another one that writes one range tombstone."""
        self._trim_all([key], length)

    def _trim_all(self, keys: Sequence[str], length: int) -> None:
        store, namespace = self.backend.store_to_write(), self.backend.namespace.encode()
        queue = store.queue
        if queue is not None and queue.is_atomic:
            for key in keys:
                store.write(trims_in_batch(store, namespace, key, length, queue))
            return
        store.send_queued()
        store.write_now(trims(store, namespace, keys, length))

    def _delete(self, key: str) -> None:
        store = self.backend.store_to_write()
        epoch = store.clock.next()
        self._note([key], Deleted(epoch))
        store.write([deletion(store, (self.backend.namespace.encode(), key.encode()), epoch)])

    def _flush(self) -> None:
        """One round trip for each 1,000 timelines, and a deletion of each."""
        store, namespace = self.backend.store_to_write(), self.backend.namespace.encode()
        store.send_queued()
        for names in self._directory.names():
            epoch = store.clock.next()
            self._note([name.decode() for name in names], Deleted(epoch))
            store.write([deletion(store, (namespace, name), epoch) for name in names])
        self._directory.forget()

    @property
    def _directory(self) -> Directory:
        return Directory(self.backend.store, self.backend.namespace, _KIND)

    def _note(self, keys: Sequence[str], change: Added | Removed | Deleted) -> None:
        queue = self.backend.store.queue
        if queue is not None:
            for key in keys:
                queue.note(key, change)
