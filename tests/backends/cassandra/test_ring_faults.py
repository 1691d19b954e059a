"""A ring of three whose nodes die, hang and come back: nothing acknowledged is lost, and nothing is there twice."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager

import pytest

import soak
from feedstore import Activity, connect
from feedstore.backends.cassandra import CassandraBackend
from feedstore.errors import MissingSchemaError, StorageTimeoutError, StorageUnavailableError
from polling import poll_until
from servers.cassandra import CassandraServer, OwnCassandraServer
from servers.cassandra_ring import OwnCassandraRing

KEYS = [f"feed:{number}" for number in range(60)]
CHUNK = 20
ROUNDS_AFTER = 20
PROCESSES = 4
KEYSPACES = soak.count(1, 10)


@pytest.fixture
def backend(cassandra_ring_url: str) -> Iterator[CassandraBackend]:
    """A backend whose every row is kept by all three nodes, and confirmed by two."""
    with CassandraBackend(cassandra_ring_url, retry_seconds=60) as backend:
        # Now, and not while a node dies, the tables are made.
        backend.kv_storage().upsert("opened", True)
        yield backend


def test_a_node_killed_amid_bulk_adds(cassandra_ring: OwnCassandraRing, backend: CassandraBackend) -> None:
    timelines, activities = backend.timeline_storage(), backend.activity_storage()
    deeds = [Activity("ann", "push", f"commit:{number}") for number in range(CHUNK)]

    def add(number: int) -> None:
        timelines.add_many("key", range(number * CHUNK, (number + 1) * CHUNK))
        activities.add_many(deeds)

    with dying(cassandra_ring, cassandra_ring.nodes[1]) as keep_on:
        rounds = keep_on(add)
        assert ids_in(backend, "key") == list(range(rounds * CHUNK))[::-1]
    # The node that is back has what it missed, or the one that has not missed it is asked too.
    with dying(cassandra_ring, cassandra_ring.nodes[0]) as keep_on:
        keep_on(lambda number: backend.ping())
        assert ids_in(backend, "key") == list(range(rounds * CHUNK))[::-1]
        assert activities.get_many(deeds) == deeds


def test_a_node_killed_amid_fan_outs(cassandra_ring: OwnCassandraRing, backend: CassandraBackend) -> None:
    timelines = backend.timeline_storage()
    length, excess = 25, backend.abilities.fan_out_excess
    with dying(cassandra_ring, cassandra_ring.nodes[2]) as keep_on:
        rounds = keep_on(lambda number: timelines.add_to_many(KEYS, [number], max_length=length))
    newest = list(range(rounds))[::-1]
    for found in timelines.get_many_slices(KEYS, 0, None).values():
        ids = [reference.serialization_id for reference in found]
        assert ids[:length] == newest[:length]
        assert ids == newest[: len(ids)]
        assert len(ids) <= length + excess
    timelines.trim(KEYS[0], length)
    assert ids_in(backend, KEYS[0]) == newest[:length]


def test_a_node_killed_amid_reads(cassandra_ring: OwnCassandraRing, backend: CassandraBackend) -> None:
    timelines, items = backend.timeline_storage(), backend.kv_storage()
    timelines.add_to_many(KEYS, range(100))
    items.upsert("item", 7)

    def read(number: int) -> None:
        assert ids_in(backend, KEYS[number % len(KEYS)]) == list(range(100))[::-1]
        assert timelines.index_of(KEYS[0], 40) == 59
        assert {len(found) for found in timelines.get_many_slices(KEYS[:5], 0, 30).values()} == {30}
        assert items.fetch_one("item") == 7

    with dying(cassandra_ring, cassandra_ring.nodes[0]) as keep_on:
        keep_on(read)


@pytest.mark.usefixtures("backend")
def test_nodes_that_hang_are_a_timeout_and_the_write_may_be_repeated(
    cassandra_ring: OwnCassandraRing, cassandra_ring_url: str
) -> None:
    with CassandraBackend(cassandra_ring_url, timeout=2.0, retry_seconds=1.0) as backend:
        timelines = backend.timeline_storage()
        timelines.add_many("key", [1, 2, 3])
        hanging = cassandra_ring.nodes[1:]
        for node in hanging:
            node.pause()
        try:
            with pytest.raises(StorageTimeoutError, match="writing it again changes nothing twice"):
                timelines.add_many("key", [3, 4])
        finally:
            for node in hanging:
                node.resume()
        cassandra_ring.wait_until_whole()
        poll_until(lambda: works(lambda: timelines.add_many("key", [3, 4])), 60, "the nodes' going on")
        assert ids_in(backend, "key") == [4, 3, 2, 1]


@pytest.mark.usefixtures("backend")
def test_two_of_three_dead_is_one_error_that_names_the_store(
    cassandra_ring: OwnCassandraRing, cassandra_ring_url: str
) -> None:
    with CassandraBackend(cassandra_ring_url, retry_seconds=0.5) as backend:
        timelines = backend.timeline_storage()
        timelines.add("key", 1)
        dead = cassandra_ring.nodes[:2]
        for node in dead:
            node.kill()
        try:
            # Until the last one takes them for dead, it waits for them.
            poll_until(lambda: not is_waited_for(lambda: timelines.add("key", 2)), 60, "the deaths being noticed")
            keyspace = cassandra_ring_url.rpartition("/")[2]
            for call in (lambda: timelines.add("key", 2), lambda: timelines.get_slice("key", 0, None)):
                with pytest.raises(StorageUnavailableError, match=rf"cassandra://.*/{keyspace}: .*") as caught:
                    call()
                assert "QUORUM" in str(caught.value)
        finally:
            cassandra_ring.start(*dead)
        poll_until(lambda: works(lambda: timelines.add("key", 3)), 60, "the driver's return to the nodes")
        assert set(ids_in(backend, "key")) - {2} == {3, 1}


def test_several_processes_open_an_empty_keyspace_at_once(cassandra_ring: OwnCassandraRing) -> None:
    with ProcessPoolExecutor(PROCESSES, mp_context=multiprocessing.get_context("spawn")) as processes:
        for _ in range(KEYSPACES):
            url = cassandra_ring.url(cassandra_ring.create_keyspace(replicas=3))
            for future in [processes.submit(open_and_add, url, one) for one in range(PROCESSES)]:
                future.result()
            with CassandraBackend(url, schema="check") as backend:
                assert ids_in(backend, "key") == list(range(PROCESSES))[::-1]


def test_a_keyspace_that_is_dropped_is_one_error(cassandra_server: CassandraServer) -> None:
    keyspace = cassandra_server.create_keyspace()
    with connect(cassandra_server.url(keyspace)) as backend:
        timelines, items = backend.timeline_storage(), backend.kv_storage()
        timelines.add("key", 1)
        cassandra_server.drop_keyspace(keyspace)
        for call in (
            lambda: timelines.add("key", 2),
            lambda: timelines.add_to_many(["key", "other"], [2], max_length=5),
            lambda: timelines.get_slice("key", 0, None),
            lambda: items.fetch_one("item"),
        ):
            with pytest.raises(MissingSchemaError, match=keyspace):
                call()


@contextmanager
def dying(ring: OwnCassandraRing, node: OwnCassandraServer) -> Iterator[Callable[[Callable[[int], object]], int]]:
    """Give something that repeats a call while the node is killed amid it; start the node again at the end."""
    killed = threading.Event()

    def kill() -> None:
        node.kill()
        killed.set()

    def keep_on(call: Callable[[int], object]) -> int:
        number, last = 0, None
        killing = threading.Timer(0.3, kill)
        killing.start()
        while last is None or number < last:
            call(number)
            number += 1
            if last is None and killed.is_set():
                last = number + ROUNDS_AFTER
        killing.join()
        return number

    try:
        yield keep_on
    finally:
        node.kill()
        ring.start(node)


def works(call: Callable[[], object]) -> bool:
    try:
        call()
    except (StorageTimeoutError, StorageUnavailableError):
        return False
    return True


def is_waited_for(call: Callable[[], object]) -> bool:
    """Whether a call ends with a timeout, and not with nodes that are known to be dead."""
    try:
        call()
    except StorageTimeoutError:
        return True
    except StorageUnavailableError:
        return False
    raise AssertionError("a write was confirmed by two nodes of which one is dead")


def ids_in(backend: CassandraBackend, key: str) -> list[int]:
    return [reference.serialization_id for reference in backend.timeline_storage().get_slice(key, 0, None)]


def open_and_add(url: str, number: int) -> None:
    with connect(url) as backend:
        backend.timeline_storage().add("key", number)
