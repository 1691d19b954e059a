"""Key-value items in Cassandra."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import TYPE_CHECKING
from zlib import crc32

from feedstore.backends.cassandra.batches import ROW_BYTES, TOMBSTONE_BYTES, Write
from feedstore.backends.cassandra.stored import stored_key, stored_value
from feedstore.backends.cassandra.tables import ITEM_BUCKETS
from feedstore.backends.cassandra.values import Rows, bigint_value, int_value, list_value
from feedstore.shown import WHOLE_KEY, shown
from feedstore.storage import KvStorage
from feedstore.storage.kv import in_range
from feedstore.storage.transaction import AUTOCOMMIT, Pending, Transaction

if TYPE_CHECKING:
    from feedstore.backends.cassandra.backend import CassandraBackend

_FIRST_PAGE = 64
_FURTHER_PAGE = 500
_MOST_KEYS_A_REQUEST = 100
# No byte of UTF-8 is 0xff, so everything that begins with a prefix lies before the prefix and this.
_BEHIND_EVERYTHING = b"\xff"
_ALL_BUCKETS = list_value([int_value(bucket) for bucket in range(ITEM_BUCKETS)])

Partition = tuple[bytes, ...]


class CassandraKvStorage(KvStorage):
    """Items in sixteen partitions for each name, by a hash of the key, ordered by the key in each.

    A write and a read are one round trip. A scan is one request for all sixteen, and one for each 500 items that it
    returns. :meth:`flush` deletes sixteen partitions.
    """

    backend: CassandraBackend

    def _upsert(self, key: str, data: bytes, transaction: Transaction = AUTOCOMMIT) -> Pending[None]:
        store, stored = self.backend.store_to_write(), key.encode()
        values = [bigint_value(store.clock.next()), data, *self._partition_of(stored), stored]
        return self._write_one(transaction, store.statements.upsert_item, values, stored, ROW_BYTES + len(data))

    def _delete(self, key: str, transaction: Transaction = AUTOCOMMIT) -> Pending[None]:
        store, stored = self.backend.store_to_write(), key.encode()
        values = [bigint_value(store.clock.next()), *self._partition_of(stored), stored]
        return self._write_one(transaction, store.statements.delete_item, values, stored, TOMBSTONE_BYTES)

    def _write_one(
        self, transaction: Transaction, statement: str, values: list[bytes], key: bytes, size: int
    ) -> Pending[None]:
        row = (statement, values)
        self.backend.store.write(transaction, [Write(self._partition_of(key), [row], size + len(key))])
        return Pending(None)

    def _flush(self, transaction: Transaction = AUTOCOMMIT) -> Pending[None]:
        store = self.backend.store_to_write()
        statement, timestamp = store.statements.delete_items, bigint_value(store.clock.next())
        partitions = [self._partition(bucket) for bucket in range(ITEM_BUCKETS)]
        store.write(transaction, [Write(one, [(statement, [timestamp, *one])], TOMBSTONE_BYTES) for one in partitions])
        return Pending(None)

    def _fetch_one(self, key: str) -> bytes | None:
        store, stored = self.backend.store_to_read(), key.encode()
        rows = store.fetch(store.statements.select_item, [*self._partition_of(stored), stored])
        return stored_value(rows[0][0], key) if rows else None

    def _fetch_many(self, keys: list[str]) -> dict[str, bytes]:
        """One round trip: a request for each partition and 100 keys, all at once."""
        store = self.backend.store_to_read()
        groups: dict[Partition, list[bytes]] = {}
        for stored in [key.encode() for key in keys]:
            groups.setdefault(self._partition_of(stored), []).append(stored)
        requests = [
            (store.statements.select_items_of, [*partition, list_value(group[first : first + _MOST_KEYS_A_REQUEST])])
            for partition, group in groups.items()
            for first in range(0, len(group), _MOST_KEYS_A_REQUEST)
        ]
        return dict(self._read(*row) for rows in store.fetch_all(requests) for row in rows)

    def _items(self, prefix: str, after: str | None = None, reverse: bool = False, /) -> Iterator[tuple[str, bytes]]:
        return in_range(self._scan(prefix), after, reverse)

    def _scan(self, prefix: str) -> Iterator[tuple[str, bytes]]:
        store = self.backend.store_to_read()
        start = prefix.encode()
        end = start + _BEHIND_EVERYTHING
        values = [*self._space, _ALL_BUCKETS, start, end, int_value(_FIRST_PAGE)]
        firsts: dict[int, Rows] = {}
        # One request takes half the time of one for each bucket, and a fifth of this process's.
        for bucket, *item in store.fetch(store.statements.select_items, values):
            firsts.setdefault(bucket, []).append(tuple(item))
        buckets = [self._rows(self._partition(bucket), end, rows) for bucket, rows in firsts.items()]
        for key, data in heapq.merge(*buckets):
            yield self._read(key, data)

    def _read(self, stored: bytes, data: bytes | None) -> tuple[str, bytes]:
        key = stored_key(stored, f"the key-value storage {shown(self.name, WHOLE_KEY)}")
        return key, stored_value(data, key)

    def _rows(self, partition: Partition, end: bytes, rows: Rows) -> Iterator[tuple[bytes, bytes]]:
        asked = _FIRST_PAGE
        while True:
            yield from rows
            if len(rows) < asked:
                return
            asked = _FURTHER_PAGE
            store = self.backend.store
            values = [*partition, rows[-1][0], end, int_value(asked)]
            rows = store.fetch(store.statements.select_further_items, values)

    def _partition_of(self, key: bytes) -> Partition:
        return self._partition(crc32(key) % ITEM_BUCKETS)

    def _partition(self, bucket: int) -> Partition:
        return (*self._space, int_value(bucket))

    @property
    def _space(self) -> Partition:
        """What all partitions have in common."""
        return self.backend.namespace.encode(), self.name.encode()
