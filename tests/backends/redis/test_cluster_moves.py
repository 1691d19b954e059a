"""A Cluster whose slots move while they are used, and one whose nodes name addresses that lead nowhere."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from redis.crc import key_slot

from feedstore import Activity
from feedstore.backends.redis import RedisBackend
from feedstore.backends.redis.address_map import read_address_map
from feedstore.backends.redis.topology import Topology
from feedstore.errors import StorageUnavailableError
from servers.ports import LOOPBACK
from servers.proxy import Forwarder
from servers.redis_cluster import OwnRedisCluster, SlotMove
from stores import fresh_namespace

KEYS = [f"key{number}" for number in range(200)]
SECONDS = 30.0


@pytest.fixture
def backend(shared_cluster: OwnRedisCluster) -> Iterator[RedisBackend]:
    """A backend on a Cluster that stays whole."""
    with RedisBackend(shared_cluster.url, namespace=fresh_namespace(), retry_seconds=SECONDS) as backend:
        yield backend


@pytest.fixture
def together(backend: RedisBackend) -> list[str]:
    """Keys of one bucket, of which the first two have timelines."""
    names = backend.session.keys_to_write()
    found = [key for key in KEYS if names.bucket_of(key) == names.bucket_of("key0")][:4]
    backend.timeline_storage().add_to_many(found[:2], [1, 2, 3], max_length=9)
    return found


@pytest.fixture
def move(shared_cluster: OwnRedisCluster, backend: RedisBackend, together: list[str]) -> Iterator[SlotMove]:
    """A move of the slot of those keys that has begun, and ends with the test."""
    names = backend.session.keys()
    move = shared_cluster.move_of(key_slot(names.tag(names.bucket_of(together[0])).encode()))
    move.begin()
    yield move
    move.move_keys()
    move.end()


def ids_in(backend: RedisBackend, key: str) -> list[int]:
    return [reference.serialization_id for reference in backend.timeline_storage().get_slice(key, 0, None)]


def test_nothing_has_moved_yet(backend: RedisBackend, together: list[str], move: SlotMove) -> None:
    assert move.source is not move.target
    assert [ids_in(backend, key) for key in together[:3]] == [[3, 2, 1], [3, 2, 1], []]
    # A key that is nowhere: the old owner says ASK, and the new one answers.
    assert backend.timeline_storage().count(together[2]) == 0


def test_all_keys_have_moved_and_the_slot_has_not(backend: RedisBackend, together: list[str], move: SlotMove) -> None:
    move.move_keys()
    assert [ids_in(backend, key) for key in together[:2]] == [[3, 2, 1], [3, 2, 1]]
    assert backend.timeline_storage().count(together[0]) == 3
    assert backend.timeline_storage().contains(together[1], 2) is True


def test_everything_waits_until_the_slot_has_moved(backend: RedisBackend, together: list[str], move: SlotMove) -> None:
    names, timelines = backend.session.keys(), backend.timeline_storage()
    # Half of a script's keys are on either side, so the answer is TRYAGAIN.
    move.move_keys(names.timeline(names.bucket_of(together[0]), together[0]))

    def end() -> None:
        move.move_keys()
        move.end()

    ending = threading.Timer(0.3, end)
    ending.start()
    assert timelines.add_to_many(together, [4], max_length=3) == len(together)
    assert timelines.add_many(together[0], [5, 6]) == 2
    ending.join()
    assert [ids_in(backend, key) for key in together] == [[6, 5, 4, 3, 2], [4, 3, 2], [4], [4]]
    assert timelines.get_page(together[1], 9).floor == 2


def test_a_slot_that_moves_for_long_is_one_clear_error(
    shared_cluster: OwnRedisCluster, backend: RedisBackend, together: list[str], move: SlotMove
) -> None:
    names = backend.session.keys()
    move.move_keys(names.timeline(names.bucket_of(together[0]), together[0]))
    with (
        RedisBackend(shared_cluster.url, namespace=backend.namespace, retry_seconds=0.1) as impatient,
        pytest.raises(StorageUnavailableError, match=r"(?i)tryagain|rehashing"),
    ):
        impatient.timeline_storage().add_to_many(together, [9])


def test_a_slot_that_has_moved_is_found(
    shared_cluster: OwnRedisCluster, backend: RedisBackend, together: list[str]
) -> None:
    names = backend.session.keys()
    move = shared_cluster.move_of(key_slot(names.tag(names.bucket_of(together[0])).encode()))
    move.begin()
    move.move_keys()
    move.end()
    assert ids_in(backend, together[0]) == [3, 2, 1]
    assert backend.timeline_storage().add_to_many(together, [4]) == len(together)
    like = Activity("ann", "like", "photo:7")
    assert backend.activity_storage().add(like) == 1


def test_nodes_behind_nat_are_reached_where_the_map_says(shared_cluster: OwnRedisCluster) -> None:
    forwarders = {server.port: Forwarder(server.port) for server in shared_cluster.servers}
    address_map = ",".join(f"{LOOPBACK}:{port}=localhost:{one.port}" for port, one in forwarders.items())
    first = next(iter(forwarders.values()))
    namespace = fresh_namespace()
    url = f"redis+cluster://{LOOPBACK}:{first.port}?address_map={address_map}"
    with RedisBackend(url, namespace=namespace, client_name=namespace, retry_seconds=SECONDS) as backend:
        assert backend.timeline_storage().add_to_many(KEYS, [1]) == len(KEYS)
        names = backend.session.keys()
        move = shared_cluster.move_of(key_slot(names.tag(names.bucket_of("key0")).encode()))
        move.begin()
        move.move_keys()
        # The addresses in ASK and MOVED are mapped too.
        assert ids_in(backend, "key0") == [1]
        move.end()
        assert ids_in(backend, "key0") == [1]
        ports = [server.port for server in shared_cluster.primaries()]
        found = 0
        for server in shared_cluster.servers:
            client = server.client()
            found += sum(one["name"] == namespace for one in client.client_list())
            client.close()
        # Each connection came through a forwarder.
        assert all(forwarders[port].connections > 0 for port in ports)
        assert 0 < found <= sum(one.connections for one in forwarders.values())
    for forwarder in forwarders.values():
        forwarder.close()


def test_addresses_are_mapped_by_host_or_by_place_and_empty_ones_are_the_asked_node_s() -> None:
    address_map = read_address_map("address_map", "10.0.0.1:7000=a:1, 10.0.0.1=b,[::1]:5=[::2]")
    answer = [
        [0, 9, [b"10.0.0.1", 7000, b"id", []], [b"10.0.0.1", 7001, b"id", []]],
        [10, 16382, [b"", 7002, b"id", []], [b"::1", 5, b"id", []]],
    ]
    topology = Topology.read(answer, ("asked", 9), address_map)
    assert topology.owner_of(9) == ("a", 1)
    assert topology.owner_of(10) == ("asked", 7002)
    assert topology.places == {("a", 1), ("b", 7001), ("asked", 7002), ("::2", 5)}
    assert topology.with_owner(9, ("c", 3)).owner_of(9) == ("c", 3)
    with pytest.raises(Exception, match="slot 16383"):
        topology.owner_of(16383)
