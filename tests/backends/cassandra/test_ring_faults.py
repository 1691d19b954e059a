"""A ring of three whose nodes die, hang and come back: nothing acknowledged is lost, and nothing is there twice."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import pytest

import soak
from feedstore import Activity, connect
from feedstore.backends.cassandra import CassandraBackend
from feedstore.backends.cassandra.memory import Excess
from feedstore.errors import StorageTimeoutError, StorageUnavailableError
from feedstore.testing.processes import Child, run_in_threads
from feedstore.testing.samples import ids_of
from polling import poll_until
from servers.cassandra import OwnCassandraServer
from servers.cassandra_ring import OwnCassandraRing
from stores import fresh_namespace

DELIVERED = [f"feed:{number}" for number in range(60)]
FILLED = [f"full:{number}" for number in range(20)]
TOGETHER = [f"together:{number}" for number in range(3)]
LENGTH = 10
CHUNK = 20
ROUNDS = 8
SECONDS = 120
PROCESSES = soak.count(2, 3)
KEYSPACES = soak.count(1, 10)


@pytest.fixture
def backend(cassandra_ring: OwnCassandraRing, cassandra_ring_url: str) -> Iterator[CassandraBackend]:
    """A backend on a ring that is whole, whose every row is kept by all three nodes, and confirmed by two."""
    cassandra_ring.make_whole()
    with CassandraBackend(cassandra_ring_url, namespace=fresh_namespace(), retry_seconds=60) as backend:
        # Now, and not while a node dies, the tables are made.
        backend.kv_storage().upsert("opened", True)
        yield backend


@pytest.mark.soak
def test_several_processes_open_an_empty_keyspace_at_once(
    cassandra_ring: OwnCassandraRing, cassandra_ring_url: str
) -> None:
    """The first keyspace is that of the other tests, which come later and use namespaces of their own."""
    more = [cassandra_ring.url(cassandra_ring.create_keyspace(replicas=3)) for _ in range(1, KEYSPACES)]
    for url in [cassandra_ring_url, *more]:
        children = [Child(partial(open_and_add, url, one)) for one in range(PROCESSES)]
        for child in children:
            child.result(SECONDS)
        with CassandraBackend(url, schema="check") as backend:
            assert ids_in(backend, "key") == list(range(PROCESSES))[::-1]


def test_nodes_that_hang_are_a_timeout_and_the_write_may_be_repeated(
    cassandra_ring: OwnCassandraRing, cassandra_ring_url: str, backend: CassandraBackend
) -> None:
    with CassandraBackend(cassandra_ring_url, namespace=backend.namespace, timeout=1.0, retry_seconds=0.5) as impatient:
        timelines = impatient.timeline_storage()
        poll_until(lambda: works(lambda: timelines.add_many("key", [1, 2, 3])), SECONDS, "the first answer")
        hanging = cassandra_ring.nodes[1:]
        for node in hanging:
            node.pause()
        try:
            with pytest.raises(StorageTimeoutError, match="it is safe to repeat it"):
                timelines.add_many("key", [3, 4])
        finally:
            for node in hanging:
                node.resume()
        cassandra_ring.make_whole()
        poll_until(lambda: works(lambda: timelines.add_many("key", [3, 4])), SECONDS, "the nodes' going on")
    assert ids_in(backend, "key") == [4, 3, 2, 1]


@pytest.mark.parametrize("number", range(soak.count(1, 3)))
def test_one_node_that_hangs_fails_no_call(
    cassandra_ring: OwnCassandraRing, cassandra_ring_url: str, backend: CassandraBackend, number: int
) -> None:
    """Nothing is tried again here: the request itself goes to another node, also one that prepares a statement."""
    hanging = cassandra_ring.nodes[number]
    quickly: dict[str, Any] = {"timeout": 4.0, "retry_seconds": 0, "connect_timeout": 2.0}
    with CassandraBackend(cassandra_ring_url, namespace=backend.namespace, **quickly) as known:
        known.timeline_storage().add_to_many(TOGETHER, [1])
        hanging.pause()
        try:
            for one in range(4):
                known.timeline_storage().add(f"key:{one}", one)
                assert ids_in(known, f"key:{one}") == [one]
            with known.batch(atomic=True) as batch:
                known.timeline_storage().add_to_many(TOGETHER, [2], batch_interface=batch)
                known.kv_storage().upsert("item", 1, batch_interface=batch)
            assert known.kv_storage().fetch_one("item") == 1
            known.queue("jobs").push("job")
            with CassandraBackend(cassandra_ring_url, namespace=backend.namespace, **quickly) as new:
                assert new.timeline_storage().count(TOGETHER[0]) == 2
                new.activity_storage().add(Activity("ann", "push", "commit:1"))
            poll_until(lambda: not is_asked(known, hanging), SECONDS, "the end of requests to the node that hangs")
        finally:
            hanging.resume()
        poll_until(lambda: is_asked(known, hanging), SECONDS, "requests to the node that goes on")


def test_a_node_killed_amid_adds_fan_outs_and_reads(
    cassandra_ring: OwnCassandraRing, cassandra_ring_url: str, backend: CassandraBackend
) -> None:
    timelines, activities, items = backend.timeline_storage(), backend.activity_storage(), backend.kv_storage()
    deeds = [Activity("ann", "push", f"commit:{number}") for number in range(CHUNK)]
    timelines.add_to_many(FILLED, range(100))
    items.upsert("item", 7)

    def add(number: int) -> None:
        timelines.add_many("key", range(number * CHUNK, (number + 1) * CHUNK))
        activities.add_many(deeds)

    def fan_out(number: int) -> None:
        timelines.add_to_many(DELIVERED, [number], max_length=LENGTH)

    def read(number: int) -> None:
        assert ids_in(backend, FILLED[number % len(FILLED)]) == list(range(100))[::-1]
        assert timelines.index_of(FILLED[0], 40) == 59
        assert {len(found) for found in timelines.get_many_slices(FILLED[:5], 0, 30).values()} == {30}
        assert items.fetch_one("item") == 7

    def write_together(number: int) -> None:
        with patient.batch(atomic=True) as batch:
            patient.timeline_storage().add_to_many(TOGETHER, [number], batch_interface=batch)
            patient.kv_storage().upsert("together", number, batch_interface=batch)

    def check() -> None:
        assert ids_in(backend, "key") == list(range(added * CHUNK))[::-1]
        assert items.fetch_one("together") == together - 1
        for found in timelines.get_many_slices(TOGETHER, 0, None).values():
            assert ids_of(found) == list(range(together))[::-1]
        assert activities.get_many(deeds) == deeds
        for found in timelines.get_many_slices(DELIVERED, 0, None).values():
            assert LENGTH <= len(found) <= LENGTH + 2 * Excess().limit(LENGTH)
            assert ids_of(found) == newest[: len(found)]

    # With the default options; the servers can log no batch until they know that the node is gone.
    with CassandraBackend(cassandra_ring_url, namespace=backend.namespace) as patient:
        calls = [add, fan_out, read, write_together]
        added, delivered, _, together = carried_out_amid_a_death(cassandra_ring, cassandra_ring.nodes[1], calls)
    newest = list(range(delivered))[::-1]
    check()
    cassandra_ring.make_whole()
    # The node that is back has received the writes that it missed, or the read also asks a node that has them.
    cassandra_ring.kill(cassandra_ring.nodes[2])
    check()
    timelines.trim(DELIVERED[0], LENGTH)
    assert ids_in(backend, DELIVERED[0]) == newest[:LENGTH]


def test_two_of_three_gone_is_one_error_that_names_the_store(
    cassandra_ring: OwnCassandraRing, cassandra_ring_url: str
) -> None:
    """The test before may have left one node dead."""
    with CassandraBackend(cassandra_ring_url, namespace=fresh_namespace(), retry_seconds=0.5) as impatient:
        timelines = impatient.timeline_storage()
        poll_until(lambda: works(lambda: timelines.add("key", 1)), SECONDS, "the first answer")
        gone = cassandra_ring.alive()[1:]
        cassandra_ring.dismiss(*gone)
        # Until the last one knows, it waits for them.
        poll_until(lambda: not is_waited_for(lambda: timelines.add("key", 2)), SECONDS, "their end being noticed")
        keyspace = cassandra_ring_url.rpartition("/")[2]
        for call in (lambda: timelines.add("key", 2), lambda: timelines.get_slice("key", 0, None)):
            with pytest.raises(StorageUnavailableError, match=rf"cassandra://.*/{keyspace}: .*QUORUM"):
                call()
        cassandra_ring.restart(gone[0])
        poll_until(lambda: works(lambda: timelines.add("key", 3)), SECONDS, "the driver's return to the node")
        assert set(ids_in(impatient, "key")) - {2} == {3, 1}


def carried_out_amid_a_death(
    ring: OwnCassandraRing, node: OwnCassandraServer, calls: Sequence[Callable[[int], object]]
) -> list[int]:
    """Repeat each call in a thread of its own, kill the node amid them, and return how often each was carried out."""
    under_way, killed = threading.Semaphore(0), threading.Event()

    def keep_on(call: Callable[[int], object]) -> int:
        number, last = 0, None
        while last is None or number < last:
            call(number)
            number += 1
            if number == ROUNDS:
                under_way.release()
            if last is None and killed.is_set():
                last = number + ROUNDS
        return number

    def kill() -> None:
        try:
            for _ in calls:
                assert under_way.acquire(timeout=SECONDS)
            ring.kill(node)
        finally:
            killed.set()

    return run_in_threads([*(partial(keep_on, call) for call in calls), kill], 2 * SECONDS)[:-1]


def is_asked(backend: CassandraBackend, node: OwnCassandraServer) -> bool:
    """Whether requests of the backend go to a node, as far as it knows."""
    hosts = backend.session.store.session().cluster.metadata.all_hosts()
    return any(host.address == node.place.address and host.is_up for host in hosts)


def works(call: Callable[[], object]) -> bool:
    try:
        call()
    except (StorageTimeoutError, StorageUnavailableError):
        return False
    return True


def is_waited_for(call: Callable[[], object]) -> bool:
    """Whether a call ends well or with a timeout, and not with nodes that are known to be gone."""
    try:
        call()
    except StorageTimeoutError:
        return True
    except StorageUnavailableError:
        return False
    return True


def ids_in(backend: CassandraBackend, key: str) -> list[int]:
    return ids_of(backend.timeline_storage().get_slice(key, 0, None))


def open_and_add(url: str, number: int) -> None:
    # On a busy machine the nodes may need longer than the default to agree on the schema.
    with connect(url, retry_seconds=60) as backend:
        backend.timeline_storage().add("key", number)
