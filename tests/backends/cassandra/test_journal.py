"""Atomic batches that are too large for a logged batch: the journal, and the records of processes that died."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from cassandra import ConsistencyLevel, WriteTimeout, WriteType

from feedstore.backends.cassandra import CassandraBackend
from feedstore.backends.cassandra import journal as journal_module
from feedstore.backends.cassandra.batches import Write
from feedstore.backends.cassandra.journal import POLL_SECONDS
from feedstore.channels import SSEChannelRepository
from feedstore.errors import StorageUnavailableError
from feedstore.storage import Backend
from feedstore.testing.samples import ids_of
from stores import OpenBackend, fresh_namespace

pytestmark = pytest.mark.parametrize("backend_kind", ["cassandra"])

LIMIT = 2_000
KEYS = [f"key{number}" for number in range(60)]
LOG_TIMEOUT = WriteTimeout("timed out", WriteType.BATCH_LOG, consistency=ConsistencyLevel.TWO)
# Saves a channel of 150 connections again and again, each time with others, until it is killed.
SAVER = """
import sys
from feedstore import connect
from feedstore.channels import Connection, DurableQueue, MessageQueueListener, SSEChannelRepository

with connect(sys.argv[1], namespace=sys.argv[2]) as backend:
    channels = SSEChannelRepository.on_backend(backend)
    for number in range(10**6):
        channel = channels.create({"channel_id": "news", "retry_timeout_milliseconds": number})
        for one in range(150):
            queue = DurableQueue(backend.queue(f"{number}:{one}"))
            channel.register_connection(Connection(MessageQueueListener(f"{number}:{one}"), queue, f"{number}:{one}"))
        channels.persist(channel)
        print(number, flush=True)
"""


class Died(Exception):
    """The process is no more."""


def write_atomically(backend: Backend, number: int) -> None:
    """Deliver to 60 timelines and write an item, together: twice as much as a logged batch of the fixture may hold."""
    with backend.batch(atomic=True) as batch:
        backend.timeline_storage().add_to_many(KEYS, [number], batch_interface=batch)
        backend.kv_storage().upsert("item", number, batch_interface=batch)


def is_there(backend: Backend, number: int) -> list[bool]:
    """Return for each write of such a batch whether it is seen."""
    timelines = backend.timeline_storage().get_many_slices(KEYS, 0, None)
    seen = [number in ids_of(timelines.get(key, [])) for key in KEYS]
    return [*seen, dict(backend.kv_storage().items()).get("item") == number]


@pytest.fixture
def backend(store_url: str) -> Iterator[Backend]:
    """A backend whose atomic batches of more than 2,000 bytes go through the journal."""
    with CassandraBackend(store_url, namespace=fresh_namespace(), batch_limit=LIMIT) as backend:
        yield backend


def records(backend: Backend) -> int:
    """Return how many batches of all processes are in the journal."""
    assert isinstance(backend, CassandraBackend)
    return len(backend.session.store.memory.journal._complete())


def die_amid(backend: Backend, writes_carried_out: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write atomically, and die when so many of the writes have been carried out."""
    assert isinstance(backend, CassandraBackend)
    write_now = backend.session.store.write_now

    def die(writes: Iterable[Write]) -> None:
        write_now(list(writes)[:writes_carried_out])
        raise Died

    backend.kv_storage().upsert("item", 0)
    backend.timeline_storage().add_to_many(KEYS, [0])
    with monkeypatch.context() as patch:
        patch.setattr(backend.session.store, "write_now", die)
        with pytest.raises(Died):
            write_atomically(backend, 1)


def test_a_large_atomic_batch_happens_and_leaves_no_record(backend: Backend) -> None:
    write_atomically(backend, 1)
    assert all(is_there(backend, 1))
    assert records(backend) == 0


@pytest.mark.parametrize("writes", [0, 1, 30, 61])
def test_another_process_finishes_what_one_that_died_has_begun(
    backend: Backend, open_backend: OpenBackend, writes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    die_amid(backend, writes, monkeypatch)
    other = open_backend(backend.namespace)
    assert all(is_there(other, 1))
    assert records(other) == 0


def test_a_process_that_runs_already_finishes_it_within_its_time(
    backend: Backend, open_backend: OpenBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record has several parts."""
    other = open_backend(backend.namespace)
    other.kv_storage().upsert("other", 1)
    monkeypatch.setattr(journal_module, "_PART_BYTES", 500)
    die_amid(backend, 30, monkeypatch)
    assert True in is_there(other, 1)
    assert False in is_there(other, 1)
    now = time.monotonic() + POLL_SECONDS
    monkeypatch.setattr(time, "monotonic", lambda: now)
    assert all(is_there(other, 1))


def test_what_is_written_after_the_batch_stays(
    backend: Backend, open_backend: OpenBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record may be carried out long after, and twice: each write in it has the time of the batch."""
    die_amid(backend, 0, monkeypatch)
    backend.kv_storage().upsert("item", 2)
    backend.timeline_storage().delete(KEYS[0])
    other = open_backend(backend.namespace)
    assert other.kv_storage().fetch_one("item") == 2
    assert other.timeline_storage().count(KEYS[0]) == 0
    assert other.timeline_storage().count(KEYS[1]) == 2


def test_a_batch_that_was_not_written_down_whole_never_happens(
    backend: Backend, open_backend: OpenBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(backend, CassandraBackend)
    backend.kv_storage().upsert("item", 0)
    monkeypatch.setattr(journal_module, "_PART_BYTES", 500)
    fetch_all = backend.session.store.fetch_all

    def fail_amid(requests: Iterable[Any], *others: Any) -> Any:
        fetch_all(list(requests)[:-1], *others)
        raise StorageUnavailableError("no answer")

    with monkeypatch.context() as patch:
        patch.setattr(backend.session.store, "fetch_all", fail_amid)
        with pytest.raises(StorageUnavailableError):
            write_atomically(backend, 1)
    other = open_backend(backend.namespace)
    assert not any(is_there(other, 1))


def test_a_batch_that_nodes_cannot_log_goes_by_the_journal(
    backend: Backend, sent: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one node of three dies, the servers wait for it to log a batch, whichever node is asked."""
    assert isinstance(backend, CassandraBackend)
    session = backend.session.store.session()
    send = session.send

    class Refused:
        def result(self) -> None:
            raise LOG_TIMEOUT

    def refuse_logging(statement: Any) -> Any:
        is_logged = getattr(statement, "batch_type", None) is not None and statement.batch_type.name == "LOGGED"
        return Refused() if is_logged else send(statement)

    monkeypatch.setattr(session, "send", refuse_logging)
    with backend.batch(atomic=True) as batch:
        backend.timeline_storage().add("key", 1, batch_interface=batch)
        backend.kv_storage().upsert("item", 1, batch_interface=batch)
    assert backend.timeline_storage().count("key") == 1
    assert backend.kv_storage().fetch_one("item") == 1
    assert session.profile.retry_policy.on_write_timeout(None, write_type=WriteType.BATCH_LOG, retry_num=0) == (
        session.profile.retry_policy.RETHROW,
        None,
    )


def test_a_damaged_record_is_named_and_blocks_no_process(
    backend: Backend, open_backend: OpenBackend, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    die_amid(backend, 0, monkeypatch)
    assert isinstance(backend, CassandraBackend)
    store = backend.session.store
    ((bucket, record),) = store.memory.journal._complete()
    driver = store.session().driver_session
    table = f'"{store.keyspace}".feedstore_journal'
    place = f"bucket = {int.from_bytes(bucket, 'big')} AND record = 0x{record.hex()} AND part = 0"
    driver.execute(f"UPDATE {table} SET data = 0xc1ff WHERE {place}")
    try:
        other = open_backend(backend.namespace)
        with caplog.at_level(logging.ERROR):
            assert other.kv_storage().fetch_one("item") == 0
        assert record.hex() in caplog.text
    finally:
        driver.execute(f"TRUNCATE {table}")


def test_a_killed_process_leaves_a_large_channel_as_it_was_or_was_to_be(
    backend: Backend, open_backend: OpenBackend, store_url: str
) -> None:
    """A channel of 150 connections is more than a logged batch holds."""
    for _ in range(2):
        command = [sys.executable, "-c", SAVER, store_url, backend.namespace]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as saver:
            assert saver.stdout is not None
            saver.stdout.readline()
            saver.kill()
        channel = SSEChannelRepository.on_backend(open_backend(backend.namespace)).load_one("news")
        number: Any = channel.retry_timeout_milliseconds  # type: ignore[attr-defined]
        assert {one.id for one in channel.get_connections()} == {f"{number}:{one}" for one in range(150)}


def test_a_record_is_given_up_after_a_week(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers may forget deletions after ten days, which a batch that is carried out later would undo."""
    die_amid(backend, 0, monkeypatch)
    assert isinstance(backend, CassandraBackend)
    driver, keyspace = backend.session.store.session().driver_session, backend.session.store.keyspace
    try:
        ((seconds,),) = driver.execute(f'SELECT TTL(data) FROM "{keyspace}".feedstore_journal LIMIT 1')
        assert 6 * 24 * 3600 < seconds <= 7 * 24 * 3600
    finally:
        driver.execute(f'TRUNCATE "{keyspace}".feedstore_journal')
