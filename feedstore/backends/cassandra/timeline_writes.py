"""The writes of Cassandra's timelines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

from feedstore.backends.cassandra.batches import ROW_BYTES, TOMBSTONE_BYTES, Write
from feedstore.backends.cassandra.deliveries import Group, Plan, groups_of, planned
from feedstore.backends.cassandra.directory import Directory
from feedstore.backends.cassandra.memory import warn_if_long
from feedstore.backends.cassandra.session import CassandraSession
from feedstore.backends.cassandra.store import Store
from feedstore.backends.cassandra.transaction import Added, CassandraTransaction, Deleted, Removed
from feedstore.backends.cassandra.trims import deletion, trims, trims_in_batch, trims_with_companions
from feedstore.backends.cassandra.values import bigint_value
from feedstore.errors import AtomicityError
from feedstore.ids import ID_BYTES, id_to_bytes
from feedstore.storage.session import AUTOCOMMIT, Pending, Transaction
from feedstore.storage.timeline_hooks import Limits, TimelineHooks

_KIND = "timelines"
_NO_LIMITS = Limits()
# The number of timelines whose trims keep their ids in memory together.
_TRIMS_A_TRIP = 1_000


class CassandraTimelineWrites(TimelineHooks):
    """The writes of a timeline storage. Counts are None, because a write does not read the timeline."""

    session: CassandraSession

    def add_to_storage(
        self, key: str, serialized_activities: Mapping[int, bytes], transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int | None]:
        """Add entries, with one batch for each 500. The batches are concurrent."""
        self._deliver(transaction, [([key], serialized_activities)])
        store, namespace = self.session.store, self.session.namespace
        if store.memory.lengths.must_check(namespace, key, len(serialized_activities)):
            warn_if_long(key, self._count)
        return Pending(None)

    def _add_if_absent(self, key: str, activity_id: int, data: bytes) -> bool:
        """Add an entry by a lightweight transaction, which costs four trips between the nodes.

        If a transaction timed out after it was applied, its retry returns False: no consumer uses that claim until its
        deadline.
        """
        store, (name,) = self.session.store_to_write(), self._names([key])
        store.clock.wait_for_next_millisecond()
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
        """Add entries, with one batch for each 50 deliveries on one replica. The batches are concurrent.

        A timeline is trimmed at this process's first delivery to it, and after enough deliveries since the last trim.
        Each trim costs a read of ``max_length + 1`` ids and one range tombstone.
        """
        return self._deliver_within([(keys, serialized)], Limits(max_length), transaction)

    def _add_to_each(
        self, deliveries: Mapping[str, Mapping[int, bytes]], limits: Limits, transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int | None]:
        """Add entries as :meth:`_add_to_many` does.

        With ``companions`` or ``max_per_payload``, concurrent requests first read which of the ids the timelines hold,
        and the ids of the delivered payloads.
        """
        if isinstance(transaction, CassandraTransaction) and _is_read_first(limits):
            raise AtomicityError(
                "deliveries with max_per_payload or companions cannot join batches on Cassandra; call them without a "
                "batch"
            )
        return self._deliver_within(groups_of(deliveries), limits, transaction)

    def _deliver_within(self, groups: Sequence[Group], limits: Limits, transaction: Transaction) -> Pending[int | None]:
        length = limits.max_length
        if length is None:
            self._deliver(transaction, groups, limits)
            return Pending(None)
        store, namespace = self.session.store_to_write(), self.session.namespace
        excess = store.memory.excess
        due: list[str] = []
        for keys, serialized in groups:
            due += excess.deliver(namespace, keys, len(serialized), length)
        try:
            self._deliver(transaction, groups, limits, is_counted=True)
            if due:
                self._trim_all(transaction, due, length, limits.companions)
                if isinstance(transaction, CassandraTransaction):
                    transaction.trimmed.append((namespace, due))
        except BaseException:
            excess.forget(namespace, due)
            raise
        return Pending(None)

    def _deliver(
        self,
        transaction: Transaction,
        groups: Sequence[Group],
        limits: Limits = _NO_LIMITS,
        is_counted: bool = False,
    ) -> None:
        store, namespace = self.session.store_to_write(), self.session.namespace
        if not is_counted:
            for keys, serialized in groups:
                store.memory.excess.add(namespace, keys, len(serialized))
        keys_of_all = [key.encode() for keys, _ in groups for key in keys]
        if _is_read_first(limits):
            plan = planned(store, self._prefix, groups, limits)
            if plan.companions:
                self._fill(plan)
            self._directory.write_with(AUTOCOMMIT, keys_of_all, plan.timelines)
            return
        timestamp = bigint_value(store.clock.next())
        writes = chain.from_iterable(self._additions(transaction, *group, timestamp) for group in groups)
        self._directory.write_with(transaction, keys_of_all, writes)

    def _fill(self, plan: Plan) -> None:
        """Send the writes to companions."""
        length = len(self._prefix.encode())
        filled = [name[length:] for name in plan.filled]
        self._directory.write_with(AUTOCOMMIT, filled, plan.companions)
        excess = self.session.store.memory.excess
        for key, amount in zip(filled, plan.filled.values(), strict=True):
            excess.add(self.session.namespace, [key.decode()], amount)

    def _additions(
        self, transaction: Transaction, keys: Sequence[str], serialized: Mapping[int, bytes], timestamp: bytes
    ) -> Iterator[Write]:
        """Return the writes that add the same entries to timelines."""
        statements, names = self.session.store.statements, self._names(keys)
        ids = [one.to_bytes(ID_BYTES, "big") for one in serialized]
        size = (ROW_BYTES + ID_BYTES) * len(ids)
        _note(transaction, names, Added(serialized.keys()))
        if any(serialized.values()):
            statement, entries = statements.add_entry, list(zip(ids, serialized.values(), strict=True))
            size += sum(map(len, serialized.values()))
            return (
                Write((name,), [(statement, [timestamp, data, name, one]) for one, data in entries], size)
                for name in names
            )
        statement = statements.add_reference
        return (Write((name,), [(statement, [timestamp, name, one]) for one in ids], size) for name in names)

    def remove_from_storage(
        self, key: str, serialized_activities: Mapping[int, bytes], transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int | None]:
        """Remove entries, with one batch for each 500. The batches are concurrent. Each entry leaves a tombstone."""
        return self._remove_from_many([key], serialized_activities, transaction)

    def _remove_from_many(
        self, keys: list[str], serialized: Mapping[int, bytes], transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int | None]:
        """Remove entries, with one batch for each 50 removals on one replica. The batches are concurrent."""
        store = self.session.store_to_write()
        statement, timestamp = store.statements.remove_entry, bigint_value(store.clock.next())
        ids = [id_to_bytes(one) for one in serialized]
        size = (TOMBSTONE_BYTES + ID_BYTES) * len(ids)
        names = self._names(keys)
        _note(transaction, names, Removed(serialized.keys()))
        writes = [Write((name,), [(statement, [timestamp, name, one]) for one in ids], size) for name in names]
        store.write(transaction, writes)
        return Pending(None)

    def _trim(self, key: str, length: int, transaction: Transaction = AUTOCOMMIT) -> Pending[int | None]:
        """Trim a timeline, with a round trip that reads ``length + 1`` ids, and another for one range tombstone."""
        self._trim_all(transaction, [key], length)
        return Pending(None)

    def _trim_all(
        self, transaction: Transaction, keys: Sequence[str], length: int, companions: Sequence[str] = ()
    ) -> None:
        store, names = self.session.store_to_write(), self._names(keys)
        if isinstance(transaction, CassandraTransaction) and transaction.is_atomic:
            for name in names:
                transaction.add(trims_in_batch(store, name, length, transaction))
            return
        store.send_collected(transaction)
        suffixes = [suffix.encode() for suffix in companions]
        for first in range(0, len(names), _TRIMS_A_TRIP):
            some = names[first : first + _TRIMS_A_TRIP]
            if not suffixes:
                store.write_now(trims(store, some, length))
                continue
            of_each = {name: [name + suffix for suffix in suffixes] for name in some}
            removals, dropping = trims_with_companions(store, of_each, length)
            store.write_now(removals)
            store.write_now(dropping)

    def _delete(self, key: str, transaction: Transaction = AUTOCOMMIT) -> Pending[None]:
        self._delete_all(transaction, self.session.store_to_write(), self._names([key]))
        return Pending(None)

    def _flush(self, transaction: Transaction = AUTOCOMMIT) -> Pending[None]:
        """Delete all timelines, with one round trip for each 1,000 names, and a deletion of each timeline."""
        store = self.session.store_to_write()
        store.send_collected(transaction)
        for keys in self._directory.names():
            # A name that is not UTF-8 is damaged: no timeline has it.
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
        """The part of a partition key before the timeline's key. A namespace holds no colon."""
        return f"{self.session.namespace}:"

    @property
    def _directory(self) -> Directory:
        return Directory(self.session.store, self.session.namespace, _KIND)


def _is_read_first(limits: Limits) -> bool:
    """Return whether a delivery with limits must read the timelines before it writes."""
    return limits.max_per_payload is not None or bool(limits.companions)


def _note(transaction: Transaction, names: Sequence[bytes], change: Added | Removed | Deleted) -> None:
    if isinstance(transaction, CassandraTransaction):
        for name in names:
            transaction.note(name, change)
