"""Writes, and how they are put together into requests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from cassandra.query import BatchStatement, BatchType

from feedstore.backends.cassandra.driver import DriverSession
from feedstore.backends.cassandra.values import routing_key

PARTITION_BYTES = 29
ROW_BYTES = 41
TOMBSTONE_BYTES = 21
NAME_BYTES = 21
"""What the servers count, in bytes, for a partition that a batch changes, for a row beside its key and its value, for a
row that is deleted beside its key, and for one that has no value. The suite compares them with what a server says."""

# Of one partition a batch is one mutation, and no limit is set but that of a mutation. Measured with 500 entries of one
# timeline: 500 a batch write 1.6 times as fast as 100.
_MOST_ROWS_OF_ONE = 500
_MOST_BYTES_OF_ONE = 1_000_000
# Of several partitions on one replica: servers log a warning from 5 KiB on, which 58 references fill. Measured with
# fan-outs to 1,000 timelines: 10 a batch keep 0.55 of the speed, 100 would gain a seventh and 200 nothing; single
# statements at once keep 0.1.
_MOST_ROWS = 100
_MOST_BYTES = 5_000


Row = tuple[str, list[bytes]]
"""One statement with its values, its timestamp among them."""


class Write(NamedTuple):
    """The rows that one write changes in one partition, and the bytes that servers count for them."""

    partition: tuple[bytes, ...]
    rows: list[Row]
    size: int


class PreparedBatch(BatchStatement):  # type: ignore[misc]
    """A batch of prepared statements whose values are serialized already.

    The driver's own way to add one makes a statement of it first; this one takes a third off a fan-out's time.
    """

    def __init__(self, session: DriverSession, kind: Any, rows: list[Row], partition: tuple[bytes, ...]) -> None:
        super().__init__(kind)
        ids = {text: session.prepared(text).query_id for text in {row[0] for row in rows}}
        self._statements_and_parameters = [(True, ids[text], values) for text, values in rows]
        self.routing_key = routing_key(partition)
        self.keyspace = session.keyspace
        self.is_idempotent = True


def requests_of(session: DriverSession, writes: Iterable[Write]) -> Iterator[Any]:
    """Yield the statements that carry writes out, in any order: their timestamps say which is the later.

    Small writes of partitions on one replica share a batch; large ones have batches of their own.
    """
    shared: dict[Any, _SharedBatch] = {}
    for write in writes:
        partition, rows, size = write
        if len(rows) > _MOST_ROWS or size > _MOST_BYTES:
            yield from _requests_of_one(session, write)
            continue
        replica = session.replica_of(partition)
        size += PARTITION_BYTES
        batch = shared.get(replica)
        if batch is None or batch.size + size > _MOST_BYTES or len(batch.rows) + len(rows) > _MOST_ROWS:
            if batch is not None:
                yield _request(session, batch.rows, batch.partition)
            batch = shared[replica] = _SharedBatch(partition)
        batch.rows += rows
        batch.size += size
    for batch in shared.values():
        yield _request(session, batch.rows, batch.partition)


class _SharedBatch:
    """What several small writes put into one batch, which goes where the first of them does."""

    __slots__ = ("partition", "rows", "size")

    def __init__(self, partition: tuple[bytes, ...]) -> None:
        self.partition = partition
        self.rows: list[Row] = []
        self.size = 0


def _requests_of_one(session: DriverSession, write: Write) -> Iterator[Any]:
    if len(write.rows) <= _MOST_ROWS_OF_ONE and write.size <= _MOST_BYTES_OF_ONE:
        yield _request(session, write.rows, write.partition)
        return
    rows: list[Row] = []
    size = 0
    for row in write.rows:
        weight = ROW_BYTES + sum(map(len, row[1]))
        if rows and (len(rows) >= _MOST_ROWS_OF_ONE or size + weight > _MOST_BYTES_OF_ONE):
            yield _request(session, rows, write.partition)
            rows, size = [], 0
        rows.append(row)
        size += weight
    yield _request(session, rows, write.partition)


def _request(session: DriverSession, rows: list[Row], partition: tuple[bytes, ...]) -> Any:
    if len(rows) == 1:
        return session.bound(*rows[0])
    return PreparedBatch(session, BatchType.UNLOGGED, rows, partition)


def atomic_request(session: DriverSession, writes: list[Write], limit: int) -> Any | None:
    """Return the one request that carries writes out, all or none; None where they are larger than the servers take.

    Writes in one partition are one mutation, which no reader sees half done; those in several are a logged batch.
    """
    partitions = {write.partition for write in writes}
    size = sum(write.size for write in writes) + PARTITION_BYTES * len(partitions)
    if size > (limit if len(partitions) > 1 else _MOST_BYTES_OF_ONE):
        return None
    rows = [row for write in writes for row in write.rows]
    kind = BatchType.LOGGED if len(partitions) > 1 else BatchType.UNLOGGED
    return PreparedBatch(session, kind, rows, writes[0].partition)
