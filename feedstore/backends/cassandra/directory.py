"""The directory: the names of a namespace's timelines, and of its slices of activities.

The first write under a name registers the name, before the write or together with it. A process that still writes under
it after ten minutes registers it again. A process also registers its names again if it finds the directory emptied or
restored. A name stays when its timeline or slice becomes empty, so readers check whether there are rows. A flush
removes the names that no process holds a lease on, with one range tombstone for each partition of the directory.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple, TypeVar
from zlib import crc32

from feedstore.backends.cassandra.batches import NAME_BYTES, TOMBSTONE_BYTES, Write
from feedstore.backends.cassandra.memory import LEASE_SECONDS, Leases
from feedstore.backends.cassandra.store import Request, Store
from feedstore.backends.cassandra.tables import DIRECTORY_BUCKETS
from feedstore.backends.cassandra.transaction import CassandraTransaction
from feedstore.backends.cassandra.values import bigint_value, int_value, list_value
from feedstore.storage.session import Transaction


class KeyRange(NamedTuple):
    """The keys from ``first`` to before ``end``, in the order of their bytes."""

    first: bytes
    end: bytes

    @property
    def is_empty(self) -> bool:
        """Whether the range contains no key."""
        return self.first >= self.end

    def after(self, key: bytes, descending: bool) -> KeyRange:
        """Return the part of the range that a scan in this direction reads after ``key``."""
        if descending:
            return self._replace(end=min(self.end, key))
        return self._replace(first=max(self.first, following(key)))


def following(key: bytes) -> bytes:
    """Return the first key after ``key``."""
    return key + b"\x00"


# A row more in a request costs less than a read beside it.
_FEW = 4
_MOST_A_TRIP = 1000
_BUCKETS_A_REQUEST = 16
_MICROSECONDS = 1_000_000
_Item = TypeVar("_Item")


class Directory:
    """The names of one kind in one namespace, in ``buckets`` partitions. A directory with one partition is ordered."""

    def __init__(self, store: Store, namespace: str, kind: str, buckets: int = DIRECTORY_BUCKETS) -> None:
        self._store = store
        self._namespace = namespace
        self._kind = kind
        self._buckets = buckets

    def write_with(self, transaction: Transaction, names: Sequence[bytes], writes: Iterable[Write]) -> None:
        """Send writes together with the names that they write under. In a batch, names without a lease go before it.

        Up to four names are registered with every write. Of more names, only those without a lease are registered. For
        the others, one name is read concurrently: if it is absent, the tables were emptied or restored, and all names
        are registered again.

        Args:
            transaction: The transaction that the writes join.
            names: The names.
            writes: The writes.
        """
        lapsed = self._leases.lapsed(self._namespace, self._kind, names)
        if isinstance(transaction, CassandraTransaction):
            if lapsed:
                self._register(lapsed, ())
            new = set(lapsed)
            self._write_in_batch(transaction, [name for name in names if name not in new], writes)
        elif len(names) <= _FEW:
            self._register(names, writes)
        elif len(lapsed) == len(names):
            self._register(lapsed, writes)
        else:
            is_whole = self._asked_whether_whole()
            self._register(lapsed, writes)
            if not is_whole():
                self._register_again(names)

    def _write_in_batch(
        self, transaction: CassandraTransaction, names: Sequence[bytes], writes: Iterable[Write]
    ) -> None:
        if len(names) <= _FEW:
            met = [name for name in names if transaction.is_new((self._kind, name))]
            writes = chain(self._registrations(met), writes)
        elif transaction.is_new((self._kind, b"")) and not self._asked_whether_whole()():
            self._register_again(names)
        transaction.add(writes)

    def _register(self, names: Sequence[bytes], writes: Iterable[Write]) -> None:
        began = time.monotonic()
        self._store.write_now(chain(self._registrations(names), writes))
        self._leases.renew(self._namespace, self._kind, names, began)

    def _register_again(self, names: Sequence[bytes]) -> None:
        self._leases.forget()
        self._register(names, ())

    def _asked_whether_whole(self) -> Callable[[], bool]:
        """Ask for the name that this process registered last. Return a function that waits for the answer."""
        newest = self._leases.newest(self._namespace, self._kind)
        if newest is None:
            return bool
        partition = self._partition(crc32(newest) % self._buckets)
        rows = self._store.ask(self._store.statements.select_name, [*partition, newest])
        return lambda: bool(rows())

    @property
    def _leases(self) -> Leases:
        return self._store.memory.leases

    def _registrations(self, names: Sequence[bytes]) -> list[Write]:
        statement, timestamp = self._store.statements.register, bigint_value(self._store.clock.next())
        groups: dict[int, list[bytes]] = {}
        for name in names:
            groups.setdefault(crc32(name) % self._buckets, []).append(name)
        writes = []
        for bucket, group in groups.items():
            partition = self._partition(bucket)
            rows = [(statement, [*partition, name, timestamp]) for name in group]
            writes.append(Write(partition, rows, sum(map(len, group)) + NAME_BYTES * len(group)))
        return writes

    def _partition(self, bucket: int) -> tuple[bytes, ...]:
        return (*self._space, int_value(bucket))

    @property
    def _space(self) -> tuple[bytes, ...]:
        """The first columns of the partition key, which all partitions have in common."""
        return self._namespace.encode(), self._kind.encode()

    def names(self) -> Iterator[Sequence[bytes]]:
        """Yield all names in chunks: one concurrent request for each 16 partitions, and one for each 1,000 names."""
        parts = _chunks(range(self._buckets), _BUCKETS_A_REQUEST)
        pages: dict[int, list[bytes]] = {}
        for rows in self._store.fetch_all([self._page(buckets, b"") for buckets in parts]):
            for bucket, name in rows:
                pages.setdefault(bucket, []).append(name)
        yield from _chunks([name for names in pages.values() for name in names], _MOST_A_TRIP)
        for bucket, names in pages.items():
            while len(names) == _MOST_A_TRIP:
                names = [row[1] for row in self._store.fetch(*self._page([bucket], names[-1]))]
                if names:
                    yield names

    def _page(self, buckets: Sequence[int], after: bytes) -> Request:
        some = list_value([int_value(bucket) for bucket in buckets])
        return self._store.statements.select_names, [*self._space, some, after, int_value(_MOST_A_TRIP)]

    def names_between(self, names: KeyRange, descending: bool) -> Iterator[Sequence[bytes]]:
        """Yield the names of a range in order, in chunks of 1,000, with one round trip for each chunk.

        The directory must have one partition.
        """
        statements = self._store.statements
        statement = statements.select_names_descending if descending else statements.select_names_between
        while True:
            values = [*self._partition(0), *names, int_value(_MOST_A_TRIP)]
            found = [name for (name,) in self._store.fetch(statement, values)]
            if found:
                yield found
            if len(found) < _MOST_A_TRIP:
                return
            names = names.after(found[-1], descending)

    def forget(self, transaction: Transaction) -> None:
        """Remove the names that were registered at least two leases ago, after the rows under them were deleted.

        An atomic batch leaves the names in place: the batch may still be refused, and readers skip the names of empty
        timelines and slices.
        """
        if isinstance(transaction, CassandraTransaction) and transaction.is_atomic:
            return
        self._store.send_collected(transaction)
        timestamp = bigint_value(self._store.clock.next() - int(2 * LEASE_SECONDS * _MICROSECONDS))
        statement = self._store.statements.forget
        partitions = [self._partition(bucket) for bucket in range(self._buckets)]
        self._store.write_now(
            [Write(partition, [(statement, [timestamp, *partition])], TOMBSTONE_BYTES) for partition in partitions]
        )


def _chunks(items: Sequence[_Item], length: int) -> Iterator[Sequence[_Item]]:
    for first in range(0, len(items), length):
        yield items[first : first + length]
