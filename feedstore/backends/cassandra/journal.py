"""The journal: records of the writes of atomic batches, which are stored before the writes are applied.

The servers' own logged batches are limited in size, and need two other nodes, one of which may be failing. A record of
the journal is one row of one partition, so either a majority of its replicas keeps it, or none has it. Every write has
its own timestamp, so a record may be applied several times, by several processes, and late: later writes stay. The next
process that polls the journal applies the records of a process that died.
"""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import msgpack
from cassandra import ConsistencyLevel

from feedstore.backends.cassandra.batches import ROW_BYTES, Write
from feedstore.backends.cassandra.clock import Clock
from feedstore.backends.cassandra.statements import Statements
from feedstore.backends.cassandra.tables import JOURNAL_BUCKETS
from feedstore.backends.cassandra.values import Rows, bigint_value, int_value, list_value
from feedstore.errors import FeedstoreError, StoredDataError
from feedstore.shown import shown

POLL_SECONDS = 10.0
"""The interval at which a process polls for unfinished batches of other processes."""

_PREFERRED_SECONDS = 10.0
_PART_BYTES = 256 * 1024
_CONSISTENCY = ConsistencyLevel.LOCAL_QUORUM
_ALL_BUCKETS = list_value([int_value(bucket) for bucket in range(JOURNAL_BUCKETS)])
_logger = logging.getLogger("feedstore.backends.cassandra")

Place = tuple[bytes, bytes]
"""The place of a batch: its bucket and its id."""


class JournalStore(Protocol):
    """The part of a store that a journal uses."""

    statements: Statements
    clock: Clock

    def fetch_all(self, requests: Iterable[tuple[str, list[bytes]]], consistency: int | None = None) -> list[Rows]:
        """Send requests and return the rows of each."""

    def write_now(self, writes: Iterable[Write]) -> None:
        """Send writes."""


class Journal:
    """The journal of atomic batches, and the time at which this process next polls for unfinished ones."""

    def __init__(self, store: JournalStore) -> None:
        self._store = store
        self._next_poll = 0.0
        self._preferred_until = 0.0
        self._lock = threading.Lock()

    @property
    def is_preferred(self) -> bool:
        """Whether a logged batch failed in the last ten seconds. Others may fail until the node is known to be dead."""
        return time.monotonic() < self._preferred_until

    def prefer(self) -> None:
        """Send batches through the journal for ten seconds."""
        self._preferred_until = time.monotonic() + _PREFERRED_SECONDS

    def carry_out(self, writes: list[Write]) -> None:
        """Store a record of a batch of any size, apply the batch, and remove the record, with three round trips.

        If the record cannot be stored, the method raises and applies nothing. If storing it timed out, later either all
        writes are applied or none.
        """
        statements, clock = self._store.statements, self._store.clock
        place = _new_place(clock.next())
        parts = list(_parts(writes, statements.names))
        timestamp, total = bigint_value(clock.next()), int_value(len(parts))
        self._store.fetch_all(
            (
                (statements.add_record, [*place, int_value(number), total, part, timestamp])
                for number, part in enumerate(parts)
            ),
            _CONSISTENCY,
        )
        self._store.write_now(writes)
        self._remove(place)

    def settle(self) -> None:
        """Apply the records of processes that died, with one round trip every ten seconds and at the first call."""
        if time.monotonic() < self._next_poll:
            return
        with self._lock:
            if time.monotonic() < self._next_poll:
                return
            for place in self._complete():
                self._finish(place)
            self._next_poll = time.monotonic() + POLL_SECONDS

    def _complete(self) -> list[Place]:
        """Return the batches whose records are complete. No write of an incomplete batch was applied."""
        (rows,) = self._store.fetch_all([(self._store.statements.select_records, [_ALL_BUCKETS])], _CONSISTENCY)
        found: dict[Place, int] = {}
        for bucket, record, _, parts in rows:
            place = int_value(bucket), record
            found[place] = found.get(place, parts or 0) - 1
        return [place for place, missing in found.items() if missing == 0]

    def _finish(self, place: Place) -> None:
        (records,) = self._store.fetch_all([(self._store.statements.select_batch, [*place])], _CONSISTENCY)
        try:
            writes = [write for (data,) in records for write in _read(data, self._store.statements.cql)]
        except StoredDataError as error:
            # The record stays, because a newer release may have written it. Reads must go on.
            _logger.error("cannot apply the unfinished batch 0x%s: %s", place[1].hex(), error)
            return
        self._store.write_now(writes)
        self._remove(place)
        _logger.info("applied an unfinished atomic batch of another process")

    def _remove(self, place: Place) -> None:
        values = [bigint_value(self._store.clock.next()), *place]
        try:
            self._store.fetch_all([(self._store.statements.remove_batch, values)], _CONSISTENCY)
        except FeedstoreError as error:
            # The batch was applied. A process that finds the record applies it again, which changes nothing.
            _logger.warning("cannot remove the record of an applied atomic batch from the journal: %s", error)


def _new_place(timestamp: int) -> Place:
    return int_value(random.randrange(JOURNAL_BUCKETS)), bigint_value(timestamp) + os.urandom(8)


def _parts(writes: list[Write], names: dict[str, str]) -> Iterator[bytes]:
    """Yield the writes as bytes, in parts of about 256 KiB."""
    packed: list[Any] = []
    size = 0
    for partition, rows, _ in writes:
        for text, values in rows:
            packed.append((partition, names[text], values))
            size += ROW_BYTES + sum(map(len, values)) + sum(map(len, partition))
            if size > _PART_BYTES:
                yield _packed(packed)
                packed, size = [], 0
    if packed:
        yield _packed(packed)


def _packed(rows: list[Any]) -> bytes:
    data: bytes = msgpack.packb(rows, use_bin_type=True)
    return data


def _read(data: bytes, cql: dict[str, str]) -> Iterator[Write]:
    """Yield the writes of a record. It raises :class:`StoredDataError` for a damaged or a newer record."""
    try:
        for partition, name, values in msgpack.unpackb(data, raw=False):
            size = ROW_BYTES + sum(map(len, values))
            yield Write(tuple(map(bytes, partition)), [(cql[name], list(map(bytes, values)))], size)
    except (ValueError, TypeError, KeyError, msgpack.UnpackException) as error:
        raise StoredDataError(f"a record of the journal is damaged or of a newer release: {shown(error)}") from error
