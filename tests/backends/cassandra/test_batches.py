"""Batches: their sizes, the refusals before anything is sent, and the order of writes inside one."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from typing import Any
from zlib import crc32

import pytest
from cassandra import InvalidRequest
from cassandra.query import BatchStatement, BatchType

from feedstore.backends.cassandra import CassandraBackend
from feedstore.backends.cassandra.batches import PARTITION_BYTES, PreparedBatch, Write, requests_of
from feedstore.backends.cassandra.tables import ITEM_BUCKETS
from feedstore.backends.cassandra.transaction import CassandraTransaction
from feedstore.backends.cassandra.values import bigint_value, int_value
from feedstore.serializers.values import pack_value
from feedstore.storage import Backend
from feedstore.storage.backend import Batch
from feedstore.testing.samples import ids_of, make_activity

pytestmark = pytest.mark.parametrize("backend_kind", ["cassandra"])

NUMBERS = range(200)
KEY = "key"

Queueing = Callable[[Backend, Batch, int], Any]
WRITES: dict[str, Queueing] = {
    "add": lambda backend, batch, number: backend.timeline_storage().add(f"{number:03}", number, batch_interface=batch),
    "remove": lambda backend, batch, number: backend.timeline_storage().remove(
        f"{number:03}", number, batch_interface=batch
    ),
    "delete": lambda backend, batch, number: backend.timeline_storage().delete(f"{number:03}", batch_interface=batch),
    "activity": lambda backend, batch, number: backend.activity_storage().add(
        make_activity(number, id=number << 101), batch_interface=batch
    ),
    "forgotten": lambda backend, batch, number: backend.activity_storage().remove(number << 101, batch_interface=batch),
    "upsert": lambda backend, batch, number: backend.kv_storage().upsert(
        f"{number:03}", "x" * number, batch_interface=batch
    ),
    "discard": lambda backend, batch, number: backend.kv_storage().delete(f"{number:03}", batch_interface=batch),
}


def queued(backend: Backend, write: Queueing) -> list[Write]:
    """Return the requests of a batch of 200 writes, without sending them."""
    assert isinstance(backend, CassandraBackend)
    batch = backend.batch()
    with batch:
        for number in NUMBERS:
            write(backend, batch, number)
        operations = list(batch._operations)
        batch._operations.clear()
    transaction = CassandraTransaction(is_atomic=False)
    for operation in operations:
        operation.write(transaction)
    return transaction.taken()


@pytest.mark.parametrize("is_known", [False, True])
@pytest.mark.parametrize("name", WRITES)
def test_a_batch_is_as_large_as_the_server_says(backend: Backend, name: str, is_known: bool) -> None:
    """The server's warning has the size of a batch. The limit for the journal uses the same
    measure. Timelines that the process knows have their names written again with each batch.
    """
    if is_known:
        queued(backend, WRITES[name])
    writes = queued(backend, WRITES[name])
    assert isinstance(backend, CassandraBackend)
    session = backend.session.store.session()
    rows = [row for write in writes for row in write.rows]
    answer = session.send(PreparedBatch(session, BatchType.UNLOGGED, rows, writes[0].partition))
    answer.result()
    sizes = [int(found[1]) for text in answer.future.warnings if (found := re.search(r"is of size (\d+)", text))]
    counted = sum(write.size for write in writes) + PARTITION_BYTES * len({write.partition for write in writes})
    assert sizes == [counted]


def requests(backend: Backend, write: Queueing) -> Sequence[Any]:
    """Return the requests that carry 200 writes out."""
    writes = queued(backend, write)
    assert isinstance(backend, CassandraBackend)
    return list(requests_of(backend.session.store.session(), writes))


def test_small_writes_share_batches_below_the_size_of_a_warning(
    backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    some = requests(backend, WRITES["add"])
    assert 3 <= len(some) <= 6
    assert {request.batch_type for request in some} == {BatchType.UNLOGGED}
    with caplog.at_level(logging.WARNING):
        backend.timeline_storage().add_to_many([str(number) for number in range(500)], [1, 2, 3])
    assert caplog.records == []


def test_a_large_write_has_batches_of_its_own_and_a_single_one_needs_none(backend: Backend) -> None:
    def add_many(backend: Backend, batch: Batch, number: int) -> None:
        if number < 2:
            backend.timeline_storage().add_many(f"{number}", range(1_200), batch_interface=batch)

    assert [len(request) for request in requests(backend, add_many)] == [500, 500, 200] * 2

    def upsert(backend: Backend, batch: Batch, number: int) -> None:
        if number < 3:
            backend.kv_storage().upsert(f"{number}", "x" * 10_000, batch_interface=batch)

    assert not any(isinstance(request, BatchStatement) for request in requests(backend, upsert))


def upsert_atomically(backend: Backend, size: int) -> None:
    """Write an item of that size and a small one, together."""
    with backend.batch(atomic=True) as batch:
        backend.kv_storage().upsert("key", b"x" * size, batch_interface=batch)
        backend.kv_storage().upsert("other", b"x", batch_interface=batch)


def is_logged(sent: list[Any]) -> bool:
    """Return whether the last requests were one logged batch, and not the three steps of the journal."""
    kinds = [getattr(statement, "batch_type", None) for statement in sent]
    sent.clear()
    assert kinds == [BatchType.LOGGED] or BatchType.LOGGED not in kinds
    return kinds == [BatchType.LOGGED]


def test_the_limit_is_where_the_server_s_is(backend: Backend, sent: list[Any]) -> None:
    """The largest batch that does not go by the journal is one that the server takes."""
    assert isinstance(backend, CassandraBackend)
    upsert_atomically(backend, 1)
    sent.clear()
    smallest, largest = 40_000, 60_000
    while largest - smallest > 1:
        middle = (smallest + largest) // 2
        upsert_atomically(backend, middle)
        smallest, largest = (middle, largest) if is_logged(sent) else (smallest, middle)
    assert len(backend.kv_storage().fetch_one("key")) > 51_000
    session = backend.session.store.session()
    rows = [upsert_row(backend, size) for size in (largest + 10, 1)]
    with pytest.raises(InvalidRequest, match="Batch too large"):
        session.send(PreparedBatch(session, BatchType.LOGGED, rows, (b"x",))).result()


def upsert_row(backend: CassandraBackend, size: int) -> tuple[str, list[bytes]]:
    """Return the row of an item of that size."""
    space = backend.namespace.encode(), b"default"
    key = b"key" if size > 1 else b"other"
    bucket = int_value(crc32(key) % ITEM_BUCKETS)
    timestamp = bigint_value(backend.session.store.clock.next())
    return backend.session.store.statements.upsert_item, [timestamp, pack_value(b"x" * size), *space, bucket, key]


def test_a_limit_may_be_set(backend: Backend, store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with CassandraBackend(store_url, namespace=backend.namespace, batch_limit=2_000) as small:
        by_journal: list[int] = []
        carry_out = small.session.store.memory.journal.carry_out

        def keep(writes: list[Write]) -> None:
            by_journal.append(len(writes))
            carry_out(writes)

        monkeypatch.setattr(small.session.store.memory.journal, "carry_out", keep)
        upsert_atomically(small, 1_000)
        assert by_journal == []
        upsert_atomically(small, 2_000)
        assert by_journal == [2]
    assert len(backend.kv_storage().fetch_one("key")) == 2_000


@pytest.mark.parametrize("atomic", [False, True])
def test_the_later_of_two_writes_wins(backend: Backend, atomic: bool) -> None:
    timelines, activities, items = backend.timeline_storage(), backend.activity_storage(), backend.kv_storage()
    for _ in range(10):
        with backend.batch(atomic) as batch:
            timelines.remove("key", 1, batch_interface=batch)
            timelines.add("key", 1, batch_interface=batch)
            timelines.add("key", 2, batch_interface=batch)
            timelines.remove("key", 2, batch_interface=batch)
            timelines.delete("other", batch_interface=batch)
            timelines.add("other", 3, batch_interface=batch)
            activities.remove(make_activity(), batch_interface=batch)
            activities.add(make_activity(), batch_interface=batch)
            items.flush(batch_interface=batch)
            items.upsert("key", 1, batch_interface=batch)
        assert ids_of(timelines.get_slice("key", 0, None)) == [1]
        assert ids_of(timelines.get_slice("other", 0, None)) == [3]
        assert (list(activities.iterate()), list(items.items())) == ([make_activity()], [("key", 1)])


def test_a_trim_reckons_with_what_an_atomic_batch_did_before(backend: Backend) -> None:
    timelines = backend.timeline_storage()
    timelines.add_many("key", range(0, 20, 2))
    with backend.batch(atomic=True) as batch:
        timelines.remove_many("key", [18, 16, 99], batch_interface=batch)
        timelines.add_many("key", [15, 1], batch_interface=batch)
        timelines.trim("key", 3, batch_interface=batch)
        timelines.add("key", 7, batch_interface=batch)
        timelines.trim("key", 3, batch_interface=batch)
        timelines.trim("key", 3, batch_interface=batch)
    page = timelines.get_page("key", 9)
    assert (ids_of(page.items), page.floor) == ([15, 14, 12], 11)
    with backend.batch(atomic=True) as batch:
        timelines.delete("key", batch_interface=batch)
        timelines.add_many("key", range(5), batch_interface=batch)
        timelines.trim("key", 2, batch_interface=batch)
    page = timelines.get_page("key", 9)
    assert (ids_of(page.items), page.floor) == ([4, 3], 3)
    with backend.batch(atomic=True) as batch:
        timelines.flush(batch_interface=batch)
        timelines.add("key", 9, batch_interface=batch)
    page = timelines.get_page("key", 9)
    assert (ids_of(page.items), page.floor, page.complete) == ([9], None, True)


def test_an_atomic_batch_is_one_request(backend: Backend, sent: list[Any]) -> None:
    timelines = backend.timeline_storage()
    timelines.add("key", 1)
    sent.clear()
    with backend.batch(atomic=True) as batch:
        timelines.add("key", 2, batch_interface=batch)
        timelines.remove("key", 1, batch_interface=batch)
        backend.kv_storage().upsert("key", 1, batch_interface=batch)
    assert [statement.batch_type for statement in sent] == [BatchType.LOGGED]


def test_an_atomic_batch_in_one_partition_needs_no_log(backend: Backend, sent: list[Any]) -> None:
    """It is one mutation: the servers carry it out as a whole, and no reader sees a part of it."""
    timelines = backend.timeline_storage()
    timelines.add_many("key", [1, 2, 3])
    sent.clear()
    with backend.batch(atomic=True) as batch:
        timelines.remove("key", 1, batch_interface=batch)
        timelines.remove("key", 3, batch_interface=batch)
    assert [statement.batch_type for statement in sent] == [BatchType.UNLOGGED]
    assert ids_of(timelines.get_slice("key", 0, None)) == [2]
