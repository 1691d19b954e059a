"""A Cluster whose primaries die and whose slots move."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from redis.crc import key_slot

from feedstore import Activity, connect
from feedstore.backends.redis import RedisBackend
from feedstore.errors import AtomicityError
from feedstore.storage import AtomicScope, TimelineStorage
from servers.ports import LOOPBACK
from servers.redis import OwnRedisServer
from servers.redis_cluster import OwnRedisCluster
from stores import fresh_namespace

KEYS = [f"key{number}" for number in range(200)]


@pytest.fixture
def backend(shared_cluster: OwnRedisCluster) -> Iterator[RedisBackend]:
    """A backend on a Cluster that stays whole."""
    with RedisBackend(shared_cluster.url, namespace=fresh_namespace(), retry_seconds=30) as backend:
        yield backend


def ids_in(backend: RedisBackend, key: str) -> list[int]:
    return [reference.serialization_id for reference in backend.timeline_storage().get_slice(key, 0, None)]


def test_a_replica_that_is_promoted_amid_fan_outs(own_redis_cluster: OwnRedisCluster) -> None:
    with RedisBackend(own_redis_cluster.url, retry_seconds=30) as backend:
        _promote_amid_fan_outs(own_redis_cluster, backend.timeline_storage())


def _promote_amid_fan_outs(cluster: OwnRedisCluster, timelines: TimelineStorage) -> None:
    timelines.add_to_many(KEYS, [0], max_length=1000)
    primary = cluster.primaries()[0]
    killing = threading.Timer(0.2, primary.kill)
    killing.start()
    number = 0
    while killing.is_alive() or number < 50:
        number += 1
        timelines.add_to_many(KEYS, [number], max_length=1000)
    # The fan-outs that were under way reached every timeline, by the new primary where the old one was dead.
    assert primary not in cluster.primaries()
    after = timelines.add_to_many(KEYS, [number + 1], max_length=1000)
    assert after == len(KEYS)
    # What the dead primary had acknowledged and not yet handed on is lost; adding it again changes nothing else.
    timelines.add_to_many(KEYS, range(number + 2), max_length=1000)
    for found in timelines.get_many_slices(KEYS, 0, None).values():
        assert [reference.serialization_id for reference in found] == list(range(number + 2))[::-1]


def test_a_slot_that_moves_while_it_is_used(shared_cluster: OwnRedisCluster, backend: RedisBackend) -> None:
    timelines = backend.timeline_storage()
    timelines.add_many("key", [1, 2, 3])
    names = backend.keys_to_write()
    bucket = names.bucket_of("key")
    new = next(key for key in KEYS if names.bucket_of(key) == bucket)
    slot = key_slot(names.tag(bucket).encode())
    source, target = _owner_and_another(shared_cluster, slot)
    _cluster(target, "SETSLOT", slot, "IMPORTING", _cluster(source, "MYID").decode())
    _cluster(source, "SETSLOT", slot, "MIGRATING", _cluster(target, "MYID").decode())
    # Its keys are still there: the old owner answers. A key that is nowhere: it says ASK.
    assert timelines.count("key") == 3
    assert timelines.count(new) == 0
    # A script that reaches keys on both sides is told to try again, until the slot has moved.
    moving = threading.Timer(0.3, lambda: _move(shared_cluster, source, target, slot))
    moving.start()
    assert timelines.add_to_many(["key", new], [4], max_length=3) == 2
    moving.join()
    assert ids_in(backend, "key") == [4, 3, 2]
    assert ids_in(backend, new) == [4]
    assert timelines.get_page("key", 9).floor == 2


def test_scripts_that_were_flushed_on_every_node(shared_cluster: OwnRedisCluster, backend: RedisBackend) -> None:
    for number in range(2):
        assert backend.timeline_storage().add_to_many(KEYS, [number], max_length=9) == len(KEYS)
        for server in shared_cluster.servers:
            server.client().script_flush()


def test_an_atomic_batch_reaches_one_bucket(redis_cluster_url: str) -> None:
    with RedisBackend(redis_cluster_url, namespace=fresh_namespace()) as backend:
        assert backend.abilities.atomic_scope is AtomicScope.SLOT
        timelines = backend.timeline_storage()
        names = backend.keys_to_write()
        here = [key for key in KEYS if names.bucket_of(key) == names.bucket_of("key0")]
        elsewhere = next(key for key in KEYS if key not in here)
        with pytest.raises(AtomicityError, match="colocate"):
            _add_to_each(backend, [here[0], elsewhere])
        assert list(timelines.keys()) == []
        assert _add_to_each(backend, here[:2]) == [1, 1]


def test_a_colocated_namespace_has_no_such_limit(redis_cluster_url: str) -> None:
    with connect(redis_cluster_url, namespace=fresh_namespace(), colocate=True) as backend:
        assert backend.abilities.atomic_scope is AtomicScope.BACKEND
        timelines, activities = backend.timeline_storage(), backend.activity_storage()
        like = Activity("ann", "like", "photo:7")
        with backend.batch(atomic=True) as batch:
            activities.add(like, batch_interface=batch)
            timelines.add_to_many(KEYS, [like], max_length=5, batch_interface=batch)
            backend.kv_storage().upsert("item", 1, batch_interface=batch)
        assert batch.results == [1, len(KEYS), None]
        assert timelines.get_slice("key7", 0, 5, hydrate_from=activities) == [like]


def _add_to_each(backend: RedisBackend, keys: list[str]) -> list[Any]:
    with backend.batch(atomic=True) as batch:
        for key in keys:
            backend.timeline_storage().add(key, 1, batch_interface=batch)
    return batch.results


def _owner_and_another(cluster: OwnRedisCluster, slot: int) -> tuple[OwnRedisServer, OwnRedisServer]:
    ports = {server.port: server for server in cluster.primaries()}
    ranges = _cluster(cluster.primaries()[0], "SLOTS")
    owner = next(ports[primary[1]] for first, last, primary, *_ in ranges if first <= slot <= last)
    return owner, next(server for server in ports.values() if server is not owner)


def _cluster(server: OwnRedisServer, *words: object) -> Any:
    # Past the client, which makes something else of the answers in every release.
    connection: Any = server.client().connection_pool.get_connection()
    connection.send_command("CLUSTER", *words)
    answer = connection.read_response()
    connection.disconnect()
    return answer


def _move(cluster: OwnRedisCluster, source: OwnRedisServer, target: OwnRedisServer, slot: int) -> None:
    client: Any = source.client()
    keys = _cluster(source, "GETKEYSINSLOT", slot, 1000)
    client.execute_command("MIGRATE", LOOPBACK, target.port, "", 0, 5000, "KEYS", *keys)
    name = _cluster(target, "MYID").decode()
    for server in (target, *(other for other in cluster.primaries() if other is not target)):
        _cluster(server, "SETSLOT", slot, "NODE", name)
    client.close()
