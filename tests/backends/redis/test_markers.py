"""The markers of a namespace, and foreign keys in their place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from everything import use_everything
from feedstore import connect
from feedstore.backends.redis import RedisBackend
from feedstore.backends.redis.keys import Keys, marker_key
from feedstore.errors import StorageError, StoredDataError
from feedstore.serializers import MsgpackSerializer
from feedstore.storage import Backend
from feedstore.testing.samples import with_id
from servers.redis import OwnRedisServer
from stores import fresh_namespace


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    """A client of the driver's own on the shared server."""
    client = redis.Redis.from_url(redis_url, protocol=2)
    yield client
    client.close()


@pytest.mark.parametrize(
    ("stored_format", "buckets"), [("1", "0"), ("1", "257"), ("0", "64"), ("x", "64"), ("1", "-4"), ("1", "")]
)
def test_a_damaged_marker_is_named(redis_url: str, client: redis.Redis, stored_format: str, buckets: str) -> None:
    namespace = fresh_namespace()
    client.hset(marker_key(namespace), mapping={"format": stored_format, "buckets": buckets})
    with connect(redis_url, namespace=namespace) as backend:
        for call in (backend.timeline_storage().count, lambda key: backend.timeline_storage().add(key, 1)):
            with pytest.raises(StoredDataError, match="marker"):
                call("key")


def test_a_marker_of_another_type_is_one_clear_error(redis_url: str, client: redis.Redis) -> None:
    namespace = fresh_namespace()
    client.set(marker_key(namespace), "x")
    with connect(redis_url, namespace=namespace) as backend, pytest.raises(StorageError, match="WRONGTYPE"):
        backend.timeline_storage().add("key", 1)
    assert client.get(marker_key(namespace)) == b"x"


def _by_url(server: OwnRedisServer) -> RedisBackend:
    return RedisBackend(server.url, buckets=8, retry_seconds=20)


def _by_client(server: OwnRedisServer) -> RedisBackend:
    return RedisBackend(client=server.client(), buckets=8, retry_seconds=20)


@pytest.mark.parametrize("open_on", [_by_url, _by_client])
def test_a_server_that_comes_back_empty_gets_the_marker_again(open_on: Callable[[OwnRedisServer], Backend]) -> None:
    server = OwnRedisServer()
    try:
        with open_on(server) as backend:
            backend.timeline_storage().add("key", 1)
            server.kill()
            server.start()
            assert backend.timeline_storage().count("key") == 0
            assert backend.timeline_storage().add("key", 2) == 1
        with connect(server.url) as other:
            assert isinstance(other, RedisBackend)
            assert other.session.keys().buckets == 8
            assert other.timeline_storage().count("key") == 1
    finally:
        server.stop()


def test_a_namespace_that_was_made_anew_otherwise_is_one_clear_error() -> None:
    server = OwnRedisServer()
    try:
        with connect(server.url, buckets=8) as first:
            first.timeline_storage().add("key", 1)
        with connect(server.url, retry_seconds=20) as backend:
            backend.timeline_storage().add("key", 2)
            server.kill()
            server.start()
            with connect(server.url) as other:
                other.timeline_storage().add("key", 1)
            with pytest.raises(StorageError, match=r"had 8 buckets and was created again with 64.*connect again"):
                _read_and_write(backend)
    finally:
        server.stop()


def _read_and_write(backend: Backend) -> None:
    # The read finds out that the connection was lost; a write that does is the last one without a marker.
    backend.timeline_storage().count("key")
    backend.timeline_storage().add("key", 1)


_Write = Callable[[Backend], Any]


def _add_payload(backend: Backend) -> Any:
    return backend.timeline_storage(serializer_class=MsgpackSerializer).add("wrong", with_id(9, "new"))


def _timeline(keys: Keys, bucket: int) -> str:
    return keys.timeline(bucket, "wrong")


def _payloads(keys: Keys, bucket: int) -> str:
    return keys.payloads(bucket, "wrong")


def _directory(keys: Keys, bucket: int) -> str:
    return keys.directories[bucket]


def _activities(keys: Keys, bucket: int) -> str:
    return keys.activities[9]


def _index(keys: Keys, bucket: int) -> str:
    return keys.of_items(keys.bucket_of_item("item"), "default")[0]


def _values(keys: Keys, bucket: int) -> str:
    return keys.of_items(keys.bucket_of_item("item"), "default")[1]


@pytest.mark.parametrize(
    ("place", "write"),
    [
        (_timeline, lambda backend: backend.timeline_storage().add("wrong", 9)),
        (_timeline, lambda backend: backend.timeline_storage().trim("wrong", 0)),
        (_timeline, lambda backend: backend.timeline_storage().delete("wrong")),
        (_timeline, lambda backend: backend.timeline_storage().remove_from_many(["good", "wrong"], [1])),
        (_timeline, lambda backend: backend.timeline_storage().add_to_many(["good", "wrong"], [9], max_length=1)),
        (_payloads, _add_payload),
        (_directory, lambda backend: backend.timeline_storage().add("wrong", 9)),
        (_directory, lambda backend: backend.timeline_storage().add_to_many(["good", "wrong"], [9], max_length=1)),
        (_directory, lambda backend: backend.timeline_storage().flush()),
        (_activities, lambda backend: backend.activity_storage().add(with_id(9, "new"))),
        (_activities, lambda backend: backend.activity_storage().remove(9)),
        (_values, lambda backend: backend.kv_storage().upsert("item", 1)),
        (_index, lambda backend: backend.kv_storage().delete("item")),
    ],
)
def test_a_foreign_key_in_place_refuses_every_write_whole(
    redis_url: str, client: redis.Redis, place: Callable[[Keys, int], str], write: _Write
) -> None:
    namespace = fresh_namespace()
    with RedisBackend(redis_url, namespace=namespace) as backend:
        backend.timeline_storage().add("good", 1)
        keys = backend.session.keys()
        wrong = place(keys, keys.bucket_of("wrong"))
        client.sadd(wrong, "x")
        before = _state(client, namespace)
        with pytest.raises(StorageError, match="WRONGTYPE"):
            write(backend)
        assert _state(client, namespace) == before


@pytest.mark.parametrize("place", [0, 70, 119])
def test_a_foreign_key_among_many_timelines_refuses_a_fan_out_whole(
    redis_url: str, client: redis.Redis, place: int
) -> None:
    names = [f"key{number}" for number in range(120)]
    with RedisBackend(redis_url, namespace=fresh_namespace(), buckets=1) as backend:
        timelines = backend.timeline_storage()
        client.lpush(backend.session.keys_to_write().timeline(0, names[place]), "x")
        with pytest.raises(StorageError, match="WRONGTYPE"):
            timelines.add_to_many(names, [9], max_length=1)
        assert list(timelines.keys()) == []


def test_a_foreign_set_in_a_timelines_place_leaves_no_timeline_unknown(redis_url: str, client: redis.Redis) -> None:
    # The check before a fan-out takes a plain set for a sorted one; ZADD does not.
    namespace = fresh_namespace()
    names = [f"key{number}" for number in range(40)]
    with RedisBackend(redis_url, namespace=namespace) as backend:
        timelines = backend.timeline_storage()
        keys = backend.session.keys_to_write()
        client.sadd(keys.timeline(keys.bucket_of(names[20]), names[20]), "x")
        with pytest.raises(StorageError, match=f"WRONGTYPE.*{names[20]}"):
            timelines.add_to_many(names, [9], max_length=1)
        written = [name for name in names if name != names[20] and timelines.count(name)]
        assert sorted(timelines.keys()) == sorted(written)
        timelines.flush()
        assert [timelines.count(name) for name in written] == [0] * len(written)


def _state(client: redis.Redis, namespace: str) -> dict[bytes, Any]:
    return {key: client.dump(key) for key in client.scan_iter(f"feedstore{{{namespace}*", 1000)}


def test_flush_keeps_to_its_own_namespace(redis_url: str, client: redis.Redis) -> None:
    base = fresh_namespace()[:40]
    names = [base, f"{base}-", f"{base}1", f"{base}_", base[:-1]]
    with connect(redis_url, namespace=base) as first:
        backends = [first.with_namespace(name) for name in names]
        for backend in backends:
            use_everything(backend)
            backend.timeline_storage().add("*", 1)
        others = {name: _count(client, name) for name in names[1:]}
        for storage in (first.timeline_storage(), first.activity_storage(), first.kv_storage(), first.queue("q")):
            storage.flush()
        assert {name: _count(client, name) for name in names[1:]} == others
        # Its marker stays: the number of buckets is permanent.
        assert _count(client, base) == 1
        assert all(backend.timeline_storage().count("*") == 1 for backend in backends[1:])


def _count(client: redis.Redis, namespace: str) -> int:
    return len(list(client.scan_iter(f"feedstore{{{namespace}[:}}]*", 1000)))


@pytest.mark.parametrize("number", [0, 3])
def test_the_number_of_the_database_is_honoured(redis_url: str, number: int) -> None:
    namespace = fresh_namespace()
    with connect(f"{redis_url}/{number}", namespace=namespace) as backend:
        backend.timeline_storage().add("key", 1)
    client = redis.Redis.from_url(f"{redis_url}/{number}", protocol=2)
    assert client.exists(marker_key(namespace)) == 1
    client.close()
    with connect(f"{redis_url}/{3 - number}", namespace=namespace) as other:
        assert other.timeline_storage().count("key") == 0


def test_a_socket_and_its_database(own_redis_server: OwnRedisServer) -> None:
    with connect(f"{own_redis_server.socket_url}?db=2") as backend:
        use_everything(backend)
    with connect(f"{own_redis_server.url}/2") as backend:
        assert backend.timeline_storage().count("a") == 2


def test_a_database_that_the_server_has_not_is_one_clear_error(redis_url: str) -> None:
    with connect(f"{redis_url}/99999") as backend, pytest.raises(StorageError, match="DB index is out of range"):
        backend.ping()
