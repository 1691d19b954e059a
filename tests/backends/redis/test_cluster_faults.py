"""A Cluster whose primaries die, and the scope of its batches."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from feedstore import Activity, connect
from feedstore.backends.redis import RedisBackend
from feedstore.errors import AtomicityError
from feedstore.storage import AtomicScope, TimelineStorage
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
    # Writes that the dead primary acknowledged and did not replicate are lost. Adding them again changes nothing else.
    timelines.add_to_many(KEYS, range(number + 2), max_length=1000)
    for found in timelines.get_many_slices(KEYS, 0, None).values():
        assert [reference.serialization_id for reference in found] == list(range(number + 2))[::-1]


def test_scripts_that_were_flushed_on_every_node(shared_cluster: OwnRedisCluster, backend: RedisBackend) -> None:
    for number in range(2):
        assert backend.timeline_storage().add_to_many(KEYS, [number], max_length=9) == len(KEYS)
        for server in shared_cluster.servers:
            server.client().script_flush()


def test_an_atomic_batch_reaches_one_bucket(redis_cluster_url: str) -> None:
    with RedisBackend(redis_cluster_url, namespace=fresh_namespace()) as backend:
        assert backend.abilities.atomic_scope is AtomicScope.SLOT
        timelines = backend.timeline_storage()
        names = backend.session.keys_to_write()
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
