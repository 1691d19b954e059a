"""Activities in Cassandra."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import itemgetter

from feedstore.backends.cassandra.batches import ROW_BYTES, TOMBSTONE_BYTES, Write
from feedstore.backends.cassandra.directory import Directory, KeyRange, following
from feedstore.backends.cassandra.session import CassandraSession
from feedstore.backends.cassandra.store import Request
from feedstore.backends.cassandra.stored import stored_entries, stored_slices
from feedstore.backends.cassandra.tables import SHARDS, SLICE_SHIFT
from feedstore.backends.cassandra.values import Rows, bigint_value, int_value, list_value
from feedstore.ids import ID_BYTES, MAX_ID, id_to_bytes
from feedstore.storage import ActivityStorage, Bounds
from feedstore.storage.session import AUTOCOMMIT, Pending, Transaction

_KIND = "activities"
_SLICE_BYTES = 4
_BEYOND_ALL = b"\xff" * (_SLICE_BYTES + 1)
_WHERE = "an activity storage"
_MOST_IDS_A_REQUEST = 100
_MOST_A_PAGE = 500
_SLICES_A_TRIP = 16
_SHARDS = [int_value(shard) for shard in range(SHARDS)]


class CassandraActivityStorage(ActivityStorage):
    """An activity storage over slices of about 35 minutes of ids, each in four partitions.

    Adds and removals are concurrent unlogged batches, one for each partition. Reads are concurrent requests, one for
    each partition and 100 ids. Ids that are spread over time cost a request each, and each slice of added ids is a name
    in the directory. :meth:`iterate` costs one request for each 1,000 slices, and four for each slice.
    """

    session: CassandraSession

    def add_to_storage(
        self, serialized_activities: Mapping[int, bytes], transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int | None]:
        """Add activities, with one batch for each partition. The batches are concurrent."""
        store, namespace = self.session.store_to_write(), self.session.namespace.encode()
        statement, timestamp = store.statements.add_activity, bigint_value(store.clock.next())
        writes = []
        for partition, ids in _by_partition(namespace, serialized_activities).items():
            data = [serialized_activities[activity_id] for activity_id in ids]
            rows = [
                (statement, [timestamp, one, *partition, activity_id.to_bytes(ID_BYTES, "big")])
                for activity_id, one in zip(ids, data, strict=True)
            ]
            writes.append(Write(partition, rows, (ROW_BYTES + ID_BYTES) * len(rows) + sum(map(len, data))))
        slices = {activity_id >> SLICE_SHIFT for activity_id in serialized_activities}
        self._directory.write_with(transaction, [_slice_name(one) for one in slices], writes)
        return Pending(None)

    def get_from_storage(self, activity_ids: list[int]) -> dict[int, bytes]:
        """Read activities, with one request for each partition and 100 ids. The requests are concurrent."""
        store, namespace = self.session.store_to_read(), self.session.namespace.encode()
        requests: list[Request] = []
        for partition, ids in _by_partition(namespace, activity_ids).items():
            for first in range(0, len(ids), _MOST_IDS_A_REQUEST):
                part = list_value([id_to_bytes(one) for one in ids[first : first + _MOST_IDS_A_REQUEST]])
                requests.append((store.statements.select_activities, [*partition, part]))
        pages = [store.fetch(*requests[0])] if len(requests) == 1 else store.fetch_all(requests)
        return dict(entry for rows in pages for entry in stored_entries(rows, _WHERE))

    def remove_from_storage(
        self, activity_ids: list[int], transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int | None]:
        """Remove activities, with one batch for each partition. The batches are concurrent."""
        store, namespace = self.session.store_to_write(), self.session.namespace.encode()
        statement, timestamp = store.statements.remove_activity, bigint_value(store.clock.next())
        writes = (
            Write(
                partition,
                [(statement, [timestamp, *partition, id_to_bytes(one)]) for one in ids],
                (TOMBSTONE_BYTES + ID_BYTES) * len(ids),
            )
            for partition, ids in _by_partition(namespace, activity_ids).items()
        )
        store.write(transaction, writes)
        return Pending(None)

    @property
    def _directory(self) -> Directory:
        # One partition returns the slices in the order of their ids.
        return Directory(self.session.store, self.session.namespace, _KIND, buckets=1)

    def _iterate(self, bounds: Bounds, descending: bool) -> Iterator[tuple[int, bytes]]:
        self.session.store_to_read()
        if bounds.is_empty:
            return
        last = bounds.highest >> SLICE_SHIFT
        # A damaged name may be greater than every slice. A walk without an upper bound must find it.
        end = following(_slice_name(last)) if last < MAX_ID >> SLICE_SHIFT else _BEYOND_ALL
        slices = KeyRange(_slice_name(bounds.lowest >> SLICE_SHIFT), end)
        ids = KeyRange(id_to_bytes(bounds.lowest), following(id_to_bytes(bounds.highest)))
        for names in self._directory.names_between(slices, descending):
            stored_slices(names, _SLICE_BYTES)
            for position in range(0, len(names), _SLICES_A_TRIP):
                yield from self._slices(names[position : position + _SLICES_A_TRIP], ids, descending)

    def _slices(self, names: Sequence[bytes], ids: KeyRange, descending: bool) -> Iterator[tuple[int, bytes]]:
        store, namespace = self.session.store, self.session.namespace.encode()
        partitions = [(namespace, name, shard) for name in names for shard in _SHARDS]
        firsts = store.fetch_all([self._page(partition, ids, descending) for partition in partitions])
        for position in range(0, len(partitions), SHARDS):
            some = slice(position, position + SHARDS)
            shards = [
                self._rows(partition, ids, descending, rows)
                for partition, rows in zip(partitions[some], firsts[some], strict=True)
            ]
            for row in heapq.merge(*shards, key=itemgetter(0), reverse=descending):
                yield from stored_entries([row], _WHERE)

    def _rows(
        self, partition: tuple[bytes, ...], ids: KeyRange, descending: bool, rows: Rows
    ) -> Iterator[tuple[bytes, bytes]]:
        while True:
            yield from rows
            if len(rows) < _MOST_A_PAGE:
                return
            ids = ids.after(rows[-1][0], descending)
            rows = self.session.store.fetch(*self._page(partition, ids, descending))

    def _page(self, partition: tuple[bytes, ...], ids: KeyRange, descending: bool) -> Request:
        statements = self.session.store.statements
        statement = statements.select_slice_descending if descending else statements.select_slice
        return statement, [*partition, *ids, int_value(_MOST_A_PAGE)]

    def _flush(self, transaction: Transaction = AUTOCOMMIT) -> Pending[None]:
        """Remove all activities, with one request for each 1,000 slices and a deletion of each of their partitions."""
        store, namespace = self.session.store_to_write(), self.session.namespace.encode()
        store.send_collected(transaction)
        for names in self._directory.names():
            timestamp = bigint_value(store.clock.next())
            partitions = [(namespace, name, shard) for name in names if len(name) == _SLICE_BYTES for shard in _SHARDS]
            statement = store.statements.remove_slice
            store.write(
                transaction, [Write(one, [(statement, [timestamp, *one])], TOMBSTONE_BYTES) for one in partitions]
            )
        self._directory.forget(transaction)
        return Pending(None)


def _by_partition(namespace: bytes, ids: Iterable[int]) -> dict[tuple[bytes, ...], list[int]]:
    groups: dict[tuple[int, int], list[int]] = {}
    for activity_id in ids:
        place = activity_id >> SLICE_SHIFT, activity_id % SHARDS
        if place in groups:
            groups[place].append(activity_id)
        else:
            groups[place] = [activity_id]
    return {(namespace, _slice_name(one), _SHARDS[shard]): group for (one, shard), group in groups.items()}


def _slice_name(number: int) -> bytes:
    """Return the name of a slice in the directory. The partition key has the same bytes, as an int."""
    return number.to_bytes(_SLICE_BYTES, "big")
