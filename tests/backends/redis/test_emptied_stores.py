"""Stores that were emptied or restored while a process remembered them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from feedstore import Activity, connect
from feedstore.backends.redis import RedisBackend
from feedstore.errors import StorageError
from feedstore.serializers import MsgpackSerializer
from servers.redis import OwnRedisServer
from servers.redis_cluster import OwnRedisCluster
from stores import fresh_namespace

_BUCKETS = 8
_LIKE = Activity("ann", "like", "photo:7")
_KEYS = [f"key{number}" for number in range(40)]


@pytest.fixture
def server() -> Iterator[OwnRedisServer]:
    """A server that the test may empty."""
    server = OwnRedisServer()
    yield server
    server.stop()


def _empty(server: OwnRedisServer) -> None:
    client = server.client()
    client.flushall()
    client.close()


def _in_a_batch(backend: RedisBackend, atomic: bool) -> None:
    with backend.batch(atomic=atomic) as batch:
        backend.timeline_storage().add("key0", 1, batch_interface=batch)


_WRITES: list[tuple[Callable[[RedisBackend], Any], Callable[[RedisBackend], Any], Any]] = [
    (lambda b: b.timeline_storage().add("key0", 1), lambda b: list(b.timeline_storage().keys()), ["key0"]),
    (
        lambda b: b.timeline_storage().add_to_many(_KEYS, [1], max_length=9),
        lambda b: sorted(b.timeline_storage().keys()),
        sorted(_KEYS),
    ),
    (
        lambda b: b.timeline_storage(serializer_class=MsgpackSerializer).add("key0", _LIKE),
        lambda b: b.timeline_storage(serializer_class=MsgpackSerializer).get_slice("key0", 0, 1),
        [_LIKE],
    ),
    (lambda b: _in_a_batch(b, False), lambda b: list(b.timeline_storage().keys()), ["key0"]),
    (lambda b: _in_a_batch(b, True), lambda b: list(b.timeline_storage().keys()), ["key0"]),
    (lambda b: b.activity_storage().add(_LIKE), lambda b: list(b.activity_storage().iterate()), [_LIKE]),
    (lambda b: b.kv_storage("names").upsert("a", 1), lambda b: list(b.kv_storage("names").items()), [("a", 1)]),
    (lambda b: b.queue("mails").push("hello"), lambda b: b.queue("mails").receive()[1], "hello"),
]


@pytest.mark.parametrize(("write", "read", "expected"), _WRITES)
def test_a_write_to_an_emptied_server_is_found_by_others(
    server: OwnRedisServer, write: Callable[[RedisBackend], Any], read: Callable[[RedisBackend], Any], expected: Any
) -> None:
    with RedisBackend(server.url, buckets=_BUCKETS) as backend:
        backend.timeline_storage().add("before", 1)
        _empty(server)
        write(backend)
        with RedisBackend(server.url) as other:
            assert read(other) == expected
            assert other.session.keys().buckets == _BUCKETS


def test_a_count_after_the_store_was_emptied_is_exact(server: OwnRedisServer) -> None:
    with RedisBackend(server.url, buckets=_BUCKETS) as backend:
        timelines = backend.timeline_storage()
        timelines.add_to_many(_KEYS, [1])
        _empty(server)
        assert timelines.add_to_many(_KEYS, [1, 2]) == 2 * len(_KEYS)


def test_an_atomic_batch_over_collections_marks_each_of_them(server: OwnRedisServer) -> None:
    with RedisBackend(server.url, buckets=_BUCKETS) as backend:
        collections = [backend.timeline_storage(name=name) for name in ("default", "other", "third")]
        for timelines in collections:
            timelines.add("before", 1)
        _empty(server)
        with backend.batch(atomic=True) as batch:
            for timelines in collections:
                timelines.add("key0", 1, batch_interface=batch)
        assert batch.results == [1, 1, 1]
        with RedisBackend(server.url) as other:
            for name in ("default", "other", "third"):
                assert list(other.timeline_storage(name=name).keys()) == ["key0"]


def test_an_atomic_batch_flushes_collections_apart(server: OwnRedisServer) -> None:
    with RedisBackend(server.url, buckets=1) as backend:
        first, second, third = [backend.timeline_storage(name=name) for name in ("default", "other", "third")]
        for timelines in (first, second, third):
            timelines.add_to_many(["a", "b"], [1])
        with backend.batch(atomic=True) as batch:
            second.add("c", 1, batch_interface=batch)
            first.flush(batch_interface=batch)
            second.flush(batch_interface=batch)
            first.add("a", 2, batch_interface=batch)
        assert [sorted(timelines.keys()) for timelines in (first, second, third)] == [["a"], [], ["a", "b"]]
        assert first.count("a") == 1


def test_a_write_to_a_store_that_others_made_again_otherwise_is_refused(server: OwnRedisServer) -> None:
    with RedisBackend(server.url, buckets=_BUCKETS) as first:
        first.timeline_storage().add("key0", 1)
    with RedisBackend(server.url) as backend, RedisBackend(server.url) as other:
        backend.timeline_storage().add("key1", 1)
        _empty(server)
        other.timeline_storage().add("key0", 1)
        client = server.client()
        before = sorted(client.scan_iter())
        for write, _, _ in _WRITES:
            with pytest.raises(StorageError, match=f"had {_BUCKETS} buckets and was created again with 64"):
                write(backend)
        assert sorted(client.scan_iter()) == before
        client.close()


def test_a_restored_snapshot_with_another_number_of_buckets_is_refused(server: OwnRedisServer) -> None:
    client: Any = server.client()
    with RedisBackend(server.url, buckets=4) as first:
        first.timeline_storage().add("key0", 1)
    snapshot = {key: client.dump(key) for key in client.scan_iter()}
    client.flushall()
    with RedisBackend(server.url) as backend:
        backend.timeline_storage().add("key0", 2)
        client.flushall()
        for key, value in snapshot.items():
            client.restore(key, 0, value)
        with pytest.raises(StorageError, match="had 64 buckets and was created again with 4"):
            backend.timeline_storage().add("key0", 3)
    with RedisBackend(server.url) as backend:
        assert [one.serialization_id for one in backend.timeline_storage().get_slice("key0", 0, None)] == [1]
    client.close()


def test_a_read_after_a_new_connection_sees_that_the_store_was_made_again(server: OwnRedisServer) -> None:
    with connect(server.url, buckets=_BUCKETS) as first:
        first.timeline_storage().add("key0", 1)
    with connect(server.url, retry_seconds=20) as backend, connect(server.url) as other:
        backend.timeline_storage().add("key0", 1)
        server.kill()
        server.start()
        other.timeline_storage().add("key0", 1)
        with pytest.raises(StorageError, match=f"had {_BUCKETS} buckets and was created again with 64"):
            # The first read finds that its connection was lost.
            _ = [backend.timeline_storage().count("key0") for _ in range(2)]


def _emptied(cluster: OwnRedisCluster, which: slice) -> None:
    for server in cluster.primaries()[which]:
        _empty(server)


@pytest.mark.parametrize("which", [slice(0, 1), slice(1, 2), slice(2, 3), slice(0, 3)])
def test_primaries_that_were_emptied_do_not_change_the_number_of_buckets(
    shared_cluster: OwnRedisCluster, which: slice
) -> None:
    namespace = fresh_namespace()
    with RedisBackend(shared_cluster.url, namespace=namespace, buckets=_BUCKETS) as backend:
        timelines = backend.timeline_storage()
        assert timelines.add_to_many(_KEYS, [1]) == len(_KEYS)
        _emptied(shared_cluster, which)
        if which.stop - which.start < len(shared_cluster.primaries()):
            with RedisBackend(shared_cluster.url, namespace=namespace) as other:
                assert other.timeline_storage().get_slice("key0", 0, 9) == timelines.get_slice("key0", 0, 9)
                other.timeline_storage().add("key1", 2)
        timelines.add_to_many(_KEYS, [2])
        with RedisBackend(shared_cluster.url, namespace=namespace) as other:
            assert other.session.keys().buckets == _BUCKETS
            assert sorted(other.timeline_storage().keys()) == sorted(_KEYS)
            assert all(other.timeline_storage().contains(key, 2) for key in _KEYS)


def test_a_new_namespace_on_a_cluster_counts_exactly(redis_cluster_url: str) -> None:
    with RedisBackend(redis_cluster_url, namespace=fresh_namespace()) as backend:
        timelines = backend.timeline_storage()
        assert timelines.add("key0", 1) == 1
        assert timelines.add_to_many(_KEYS, [1]) == len(_KEYS) - 1
        with backend.batch() as batch:
            timelines.add("other", 5, batch_interface=batch)
            timelines.remove("other", 5, batch_interface=batch)
            backend.activity_storage().add(_LIKE, batch_interface=batch)
        assert batch.results == [1, 1, 1]
