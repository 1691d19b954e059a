"""Writes, and the requests that combine them."""

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
"""The sizes in bytes that servers add for each changed partition of a batch, each row without its key and value, each
deleted row without its key, and each row without a value. The suite compares them with a server's figures."""

# A batch on one partition is one mutation, and has only the limit of a mutation. Measured with 500 entries of one
# timeline: 500 a batch write 1.6 times as fast as 100.
_MOST_ROWS_OF_ONE = 500
_MOST_BYTES_OF_ONE = 1_000_000
# A batch on several partitions of one replica: servers log a warning from 5 KiB, which 58 references fill. Measured
# with fan-outs to 1,000 timelines: 10 references a batch keep 0.55 of the rate, 100 would gain a seventh and 200
# nothing. Concurrent single statements keep 0.1.
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
    """A batch of prepared statements with serialized values.

    The driver's ``add()`` binds each statement first. Without that, a fan-out takes a third less time.
    """

    def __init__(self, session: DriverSession, kind: Any, rows: list[Row], partition: tuple[bytes, ...]) -> None:
        super().__init__(kind)
        ids = {text: session.prepared(text).query_id for text in {row[0] for row in rows}}
        self._statements_and_parameters = [(True, ids[text], values) for text, values in rows]
        self.routing_key = routing_key(partition)
        self.keyspace = session.keyspace
        self.is_idempotent = True


def requests_of(session: DriverSession, writes: Iterable[Write]) -> Iterator[Any]:
    """Yield the requests that carry out writes. They may be sent in any order, because writes have timestamps.

    Small writes to partitions on one replica share a batch. Each large write has its own batches.
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
    """The rows of several small writes in one batch, which is routed by the partition of the first."""

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
    """Return the one request that carries out all writes or none, or None if they exceed the servers' limit.

    Writes in one partition are one mutation, which no reader sees in part. Writes in several partitions are a logged
    batch.
    """
    partitions = {write.partition for write in writes}
    size = sum(write.size for write in writes) + PARTITION_BYTES * len(partitions)
    if size > (limit if len(partitions) > 1 else _MOST_BYTES_OF_ONE):
        return None
    rows = [row for write in writes for row in write.rows]
    kind = BatchType.LOGGED if len(partitions) > 1 else BatchType.UNLOGGED
    return PreparedBatch(session, kind, rows, writes[0].partition)
