"""Key-value items in Cassandra."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import chain
from operator import itemgetter
from typing import Any
from zlib import crc32

from cassandra import ConsistencyLevel

from feedstore.backends.cassandra.batches import ROW_BYTES, TOMBSTONE_BYTES, Write
from feedstore.backends.cassandra.directory import KeyRange
from feedstore.backends.cassandra.session import CassandraSession
from feedstore.backends.cassandra.store import Request
from feedstore.backends.cassandra.stored import stored_key, stored_value
from feedstore.backends.cassandra.tables import ITEM_BUCKETS
from feedstore.backends.cassandra.values import Rows, bigint_value, int_value, list_value, list_values
from feedstore.shown import WHOLE_KEY, shown
from feedstore.storage import KvStorage
from feedstore.storage.checks import first_part
from feedstore.storage.session import AUTOCOMMIT, Pending, Transaction

_FIRST_PAGE = 64
_FURTHER_PAGE = 500
_MOST_KEYS_A_REQUEST = 100
# No byte of UTF-8 is 0xff, so every key with a prefix is less than the prefix with this byte after it.
_AFTER_EVERY_KEY = b"\xff"
_ALL_BUCKETS = list_value([int_value(bucket) for bucket in range(ITEM_BUCKETS)])

Partition = tuple[bytes, ...]


class CassandraKvStorage(KvStorage):
    """Items in 64 partitions for each name, by a hash of the first part of the key, ordered by the key in each.

    A write and a read are one round trip, a conditional write one lightweight transaction. A scan whose prefix holds a
    whole first part reads one partition. Any other scan is one request for all of them, in reverse one for each. Both
    send one more for each 500 items that they return. :meth:`flush` deletes 64 partitions.
    """

    session: CassandraSession

    def _upsert(self, key: str, data: bytes, transaction: Transaction = AUTOCOMMIT) -> Pending[None]:
        store, stored = self.session.store_to_write(), key.encode()
        partition = self._partition_of(key)
        row = store.statements.upsert_item, [bigint_value(store.clock.next()), data, *partition, stored]
        store.write(transaction, [Write(partition, [row], ROW_BYTES + len(data) + len(stored))])
        return Pending(None)

    def _delete(self, key: str, transaction: Transaction = AUTOCOMMIT) -> Pending[None]:
        store, stored = self.session.store_to_write(), key.encode()
        partition = self._partition_of(key)
        row = store.statements.delete_item, [bigint_value(store.clock.next()), *partition, stored]
        store.write(transaction, [Write(partition, [row], TOMBSTONE_BYTES + len(stored))])
        return Pending(None)

    def _flush(self, transaction: Transaction = AUTOCOMMIT) -> Pending[None]:
        store = self.session.store_to_write()
        statement, timestamp = store.statements.delete_items, bigint_value(store.clock.next())
        partitions = [self._partition(bucket) for bucket in range(ITEM_BUCKETS)]
        store.write(transaction, [Write(one, [(statement, [timestamp, *one])], TOMBSTONE_BYTES) for one in partitions])
        return Pending(None)

    def _fetch_one(self, key: str) -> bytes | None:
        store = self.session.store_to_read()
        rows = store.fetch(store.statements.select_item, [*self._partition_of(key), key.encode()])
        return stored_value(rows[0][0], key) if rows else None

    def _fetch_many(self, keys: list[str]) -> dict[str, bytes]:
        """Read keys in one round trip, with one concurrent request for each partition and 100 keys."""
        store = self.session.store_to_read()
        groups: dict[Partition, list[bytes]] = {}
        for key in keys:
            groups.setdefault(self._partition_of(key), []).append(key.encode())
        requests = [
            (store.statements.select_items_of, [*partition, some])
            for partition, group in groups.items()
            for some in list_values(group, _MOST_KEYS_A_REQUEST)
        ]
        return dict(self._read(*row) for rows in store.fetch_all(requests) for row in rows)

    def _compare_and_set(
        self, key: str, expected: bytes | None, data: bytes | None, transaction: Transaction = AUTOCOMMIT
    ) -> Pending[bool]:
        """Run one lightweight transaction, with four trips between the nodes after a wait of up to a millisecond."""
        store = self.session.store_to_write()
        place = [*self._partition_of(key), key.encode()]

        def is_unchanged() -> bool:
            # A serial read first completes transactions with unknown outcomes.
            rows = store.fetch(store.statements.select_item, place, ConsistencyLevel.SERIAL)
            return (rows[0][0] if rows else None) == expected

        value = stored_value(data, key)
        if expected is None:
            row = store.statements.insert_item, [value, *place]
        else:
            row = store.statements.replace_item, [value, *place, expected]
        return Pending(store.decide(row, is_unchanged))

    def _items(self, prefix: str, after: str | None = None, reverse: bool = False, /) -> Iterator[tuple[str, bytes]]:
        return (self._read(*row) for row in self._scan("key, data", prefix, after, reverse))

    def _keys(self, prefix: str, after: str | None, reverse: bool) -> Iterator[str]:
        return (stored_key(key, self._where) for (key,) in self._scan("key", prefix, after, reverse))

    def _scan(self, columns: str, prefix: str, after: str | None, reverse: bool) -> Iterator[tuple[Any, ...]]:
        """Yield the columns of the items of a prefix in the order of their keys, merged over their partitions."""
        self.session.store_to_read()
        start = prefix.encode()
        keys = KeyRange(start, start + _AFTER_EVERY_KEY)
        if after is not None:
            keys = keys.after(after.encode(), reverse)
        if keys.is_empty:
            return
        firsts = self._first_rows(prefix, columns, keys, reverse)
        if all(len(rows) < _FIRST_PAGE for rows in firsts.values()):
            yield from sorted(chain.from_iterable(firsts.values()), key=itemgetter(0), reverse=reverse)
            return
        parts = [self._rows(partition, columns, keys, reverse, rows) for partition, rows in firsts.items()]
        yield from heapq.merge(*parts, key=itemgetter(0), reverse=reverse)

    def _first_rows(self, prefix: str, columns: str, keys: KeyRange, reverse: bool) -> dict[Partition, Rows]:
        """Return the first rows of each partition that may hold keys with the prefix."""
        store, part = self.session.store, first_part(prefix, is_whole=False)
        if part is not None:
            partitions = [self._partition(_bucket_of(part))]
        elif reverse:
            # Servers cannot return pages of several partitions in reverse.
            partitions = [self._partition(bucket) for bucket in range(ITEM_BUCKETS)]
        else:
            # One request takes half the time of one for each bucket, and a fifth of this process's time.
            statement = store.statements.select_items_of_all(columns)
            firsts: dict[int, Rows] = {}
            for row in store.fetch(statement, [*self._space, _ALL_BUCKETS, *keys, int_value(_FIRST_PAGE)]):
                firsts.setdefault(row[0], []).append(row[1:])
            return {self._partition(bucket): rows for bucket, rows in firsts.items()}
        requests = [self._page(partition, columns, keys, reverse, _FIRST_PAGE) for partition in partitions]
        return dict(zip(partitions, store.fetch_all(requests), strict=True))

    def _page(self, partition: Partition, columns: str, keys: KeyRange, reverse: bool, limit: int) -> Request:
        statement = self.session.store.statements.select_items(columns, reverse)
        return statement, [*partition, *keys, int_value(limit)]

    def _rows(
        self, partition: Partition, columns: str, keys: KeyRange, reverse: bool, rows: Rows
    ) -> Iterator[tuple[Any, ...]]:
        asked = _FIRST_PAGE
        while True:
            yield from rows
            if len(rows) < asked:
                return
            asked = _FURTHER_PAGE
            keys = keys.after(rows[-1][0], reverse)
            rows = self.session.store.fetch(*self._page(partition, columns, keys, reverse, asked))

    def _read(self, stored: bytes, data: bytes | None) -> tuple[str, bytes]:
        key = stored_key(stored, self._where)
        return key, stored_value(data, key)

    @property
    def _where(self) -> str:
        return f"the key-value storage {shown(self.name, WHOLE_KEY)}"

    def _partition_of(self, key: str) -> Partition:
        return self._partition(_bucket_of(first_part(key) or ""))

    def _partition(self, bucket: int) -> Partition:
        return (*self._space, int_value(bucket))

    @property
    def _space(self) -> Partition:
        """The first columns of the partition key, which all partitions have in common."""
        return self.session.namespace.encode(), self.name.encode()


def _bucket_of(part: str) -> int:
    return crc32(part.encode()) % ITEM_BUCKETS
