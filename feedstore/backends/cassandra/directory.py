"""The directory: which timelines, and which slices of activities, a namespace has.

A name is put there before or with the first write under it, and again by a process that still writes under it ten
minutes later. It stays when what it names becomes empty: readers look whether anything is there. A flush takes out the
names that nobody has a lease on, with one range tombstone for each of the directory's partitions.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from zlib import crc32

from feedstore.backends.cassandra.batches import ROW_BYTES, TOMBSTONE_BYTES, Write
from feedstore.backends.cassandra.leases import LEASE_SECONDS
from feedstore.backends.cassandra.store import Store
from feedstore.backends.cassandra.tables import DIRECTORY_BUCKETS
from feedstore.backends.cassandra.values import bigint_value, int_value

_MOST_A_TRIP = 1000
_MICROSECONDS = 1_000_000


class Directory:
    """The names of one kind in one namespace, in ``buckets`` partitions; those of a single one come in order."""

    def __init__(self, store: Store, namespace: str, kind: str, buckets: int = DIRECTORY_BUCKETS) -> None:
        self._store = store
        self._namespace = namespace
        self._kind = kind
        self._buckets = buckets

    def write_with(self, names: Sequence[bytes], writes: Iterable[Write]) -> None:
        """Carry writes out, and put the names they are about into the directory with them; in a batch, before it."""
        leases, began = self._store.memory.leases, time.monotonic()
        lapsed = leases.lapsed(self._namespace, self._kind, names)
        if not lapsed:
            self._store.write(writes)
            return
        if self._store.queue is None:
            self._store.write_now(chain(self._registrations(lapsed), writes))
        else:
            self._store.write_now(self._registrations(lapsed))
            self._store.write(writes)
        leases.renew(self._namespace, self._kind, lapsed, began)

    def _registrations(self, names: Sequence[bytes]) -> list[Write]:
        statement, timestamp = self._store.statements.register, bigint_value(self._store.clock.next())
        groups: dict[int, list[bytes]] = {}
        for name in names:
            groups.setdefault(crc32(name) % self._buckets, []).append(name)
        writes = []
        for bucket, group in groups.items():
            partition = self._partition(bucket)
            rows = [(statement, [*partition, name, timestamp]) for name in group]
            writes.append(Write(partition, rows, sum(map(len, group)) + ROW_BYTES * len(group)))
        return writes

    def _partition(self, bucket: int) -> tuple[bytes, ...]:
        return self._namespace.encode(), self._kind.encode(), int_value(bucket)

    def names(self, after: bytes = b"") -> Iterator[list[bytes]]:
        """Yield the names above ``after`` in chunks: a round trip for all partitions, and one for each 1,000 names."""
        partitions = [self._partition(bucket) for bucket in range(self._buckets)]
        firsts = self._store.fetch_all([self._page(partition, after) for partition in partitions])
        for partition, rows in zip(partitions, firsts, strict=True):
            while rows:
                yield [row[0] for row in rows]
                if len(rows) < _MOST_A_TRIP:
                    break
                rows = self._store.fetch(*self._page(partition, rows[-1][0]))

    def _page(self, partition: tuple[bytes, ...], after: bytes) -> tuple[str, list[bytes]]:
        return self._store.statements.select_names, [*partition, after, int_value(_MOST_A_TRIP)]

    def forget(self) -> None:
        """Take out the names that were put there long ago, once what they name was deleted.

        An atomic batch leaves them: it may yet be refused, and readers pass over the names of what is empty.
        """
        queue = self._store.queue
        if queue is not None and queue.is_atomic:
            return
        self._store.send_queued()
        timestamp = bigint_value(self._store.clock.next() - int(2 * LEASE_SECONDS * _MICROSECONDS))
        statement = self._store.statements.forget
        partitions = [self._partition(bucket) for bucket in range(self._buckets)]
        self._store.write_now(
            [Write(partition, [(statement, [timestamp, *partition])], TOMBSTONE_BYTES) for partition in partitions]
        )
