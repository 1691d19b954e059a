"""One server that is killed, restarted, full, or replaced."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from feedstore import Activity, connect
from feedstore.backends.redis import RedisBackend
from feedstore.errors import StorageError, StorageFullError, StorageTimeoutError, StorageUnavailableError
from feedstore.storage import Backend
from feedstore.testing.delivery_suite import GroupSerializer, by
from servers.ports import LOOPBACK
from servers.proxy import Proxy
from servers.redis import OwnRedisServer


@pytest.fixture
def backend(own_redis_server: OwnRedisServer) -> Iterator[RedisBackend]:
    """A backend on a server of the test's own."""
    with RedisBackend(own_redis_server.url, retry_seconds=20) as backend:
        yield backend


@pytest.fixture
def proxy(own_redis_server: OwnRedisServer) -> Iterator[Proxy]:
    """A proxy in front of the server, with planned actions on scripts."""
    proxy = Proxy(own_redis_server.port, b"EVALSHA")
    yield proxy
    proxy.close()


@pytest.fixture
def behind_proxy(proxy: Proxy) -> Iterator[Backend]:
    """A backend that asks through the proxy, and has asked once."""
    with connect(f"redis://{LOOPBACK}:{proxy.port}", retry_seconds=5) as backend:
        backend.timeline_storage().add("warm", 1)
        yield backend


def ids_in(backend: Backend, key: str) -> list[int]:
    return [reference.serialization_id for reference in backend.timeline_storage().get_slice(key, 0, None)]


def test_a_restart_between_calls_is_not_noticed(own_redis_server: OwnRedisServer, backend: Backend) -> None:
    timelines = backend.timeline_storage()
    timelines.add_many("key", [1, 2])
    own_redis_server.kill()
    own_redis_server.start()
    assert timelines.add("key", 3) == 1
    assert ids_in(backend, "key") == [3, 2, 1]


def test_columns_after_a_restart_and_beside_a_key_of_another_type(
    own_redis_server: OwnRedisServer, backend: RedisBackend
) -> None:
    """A script reads a timeline if the transaction was lost, or names the key that one of its commands refused."""
    groups = backend.timeline_storage(serializer_class=GroupSerializer)
    groups.add_many("key", by("ann", 1, 2))
    names = backend.session.keys()
    _, timeline, side = names.of_timeline(names.bucket_of("key"), "key")
    for limit, wrong in ((9, side), (8, timeline)):
        own_redis_server.kill()
        own_redis_server.start()
        columns = groups.get_columns("key", limit)
        assert (list(columns.ids), columns.payloads) == ([2, 1], [b"ann", b"ann"])
        client: Any = own_redis_server.client()
        held = client.dump(wrong)
        client.delete(wrong)
        client.sadd(wrong, "x")
        with pytest.raises(StorageError, match="WRONGTYPE"):
            groups.get_columns("key", limit)
        client.restore(wrong, 0, held, replace=True)
        client.close()


def test_kills_amid_calls_lose_nothing_that_was_acknowledged(
    own_redis_server: OwnRedisServer, backend: Backend
) -> None:
    keys = [f"key{number}" for number in range(50)]
    done = threading.Event()

    def write() -> int:
        number = 0
        while not done.is_set() or number < 20:
            backend.timeline_storage().add_to_many(keys, [number], max_length=10_000)
            number += 1
        return number

    with ThreadPoolExecutor(1) as pool:
        written = pool.submit(write)
        try:
            for _ in range(3):
                own_redis_server.kill()
                own_redis_server.start()
        finally:
            done.set()
    for found in backend.timeline_storage().get_many_slices(keys, 0, None).values():
        assert [reference.serialization_id for reference in found] == list(range(written.result()))[::-1]


def test_a_server_that_stays_away_is_one_clear_error(own_redis_server: OwnRedisServer) -> None:
    with connect(own_redis_server.url, retry_seconds=0.2) as backend:
        backend.ping()
        own_redis_server.kill()
        for call in (
            lambda: backend.timeline_storage().add("key", 1),
            lambda: backend.activity_storage().get(1),
            backend.ping,
        ):
            with pytest.raises(StorageUnavailableError, match=f"{LOOPBACK}:{own_redis_server.port}"):
                call()


def test_scripts_that_were_flushed_are_loaded_again(own_redis_server: OwnRedisServer, backend: Backend) -> None:
    timelines = backend.timeline_storage()
    client = own_redis_server.client()
    for number in range(3):
        client.script_flush()
        assert timelines.add_to_many(["a", "b"], [number], max_length=5) == 2
        client.script_flush()
        assert timelines.add("a", 10 + number) == 1
        client.script_flush()
        assert timelines.get_page("b", 10).floor is None
    assert ids_in(backend, "a") == [12, 11, 10, 2, 1, 0]
    client.close()


@pytest.mark.parametrize("answers", [[None], [None, None]])
def test_a_write_whose_answer_is_lost_is_sent_again_and_changes_nothing_twice(
    proxy: Proxy, behind_proxy: Backend, answers: list[Any]
) -> None:
    timelines = behind_proxy.timeline_storage()
    before = proxy.requests
    proxy.plan.extend(answers)
    counted = timelines.add_many("key", [1, 2, 3])
    assert counted is not None
    assert counted <= 3
    assert proxy.requests == before + len(answers) + 1
    assert ids_in(behind_proxy, "key") == [3, 2, 1]
    timelines.add("warm", 1)
    proxy.plan.extend(answers)
    timelines.trim("key", 2)
    assert ids_in(behind_proxy, "key") == [3, 2]
    assert timelines.get_page("key", 9).floor == 2
    timelines.add("warm", 1)
    proxy.plan.extend(answers)
    with behind_proxy.batch(atomic=True) as batch:
        timelines.add("key", 9, batch_interface=batch)
        behind_proxy.kv_storage().upsert("item", 1, batch_interface=batch)
    assert ids_in(behind_proxy, "key") == [9, 3, 2]
    assert behind_proxy.kv_storage().fetch_one("item") == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"-LOADING Redis is loading the dataset in memory\r\n",
        b"-READONLY You can't write against a read only replica.\r\n",
        b"-TRYAGAIN Multiple keys request during rehashing of slot\r\n",
        b"-CLUSTERDOWN The cluster is down\r\n",
        b"-MASTERDOWN Link with MASTER is down\r\n",
        b"-ERR Script attempted to access a non local key in a cluster node script: f_1\r\n",
    ],
)
def test_what_passes_is_tried_again(proxy: Proxy, behind_proxy: Backend, answer: bytes) -> None:
    proxy.plan.extend([answer, answer])
    before = proxy.requests
    assert behind_proxy.timeline_storage().add("key", 1) == 1
    assert proxy.requests == before + 3
    assert ids_in(behind_proxy, "key") == [1]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"-OOM command not allowed when used memory > 'maxmemory'.\r\n", StorageFullError),
        (b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n", StorageError),
        (b"-NOPERM this user has no permissions\r\n", StorageError),
        (b"-MISCONF Redis is configured to save RDB snapshots\r\n", StorageUnavailableError),
    ],
)
def test_what_does_not_pass_is_one_error_at_once(
    proxy: Proxy, behind_proxy: Backend, answer: bytes, error: type[Exception]
) -> None:
    before = proxy.requests
    proxy.plan.extend([answer] * 2)
    with pytest.raises(error):
        behind_proxy.timeline_storage().add("key", 1)
    assert proxy.requests <= before + 2
    proxy.plan.clear()
    assert ids_in(behind_proxy, "key") == []


def test_a_full_server_takes_none_of_an_atomic_batch_or_a_fan_out(
    own_redis_server: OwnRedisServer, backend: Backend
) -> None:
    backend.timeline_storage().add("key", 1)
    client = own_redis_server.client()
    client.config_set("maxmemory", 1)

    def write() -> None:
        with backend.batch(atomic=True) as batch:
            backend.timeline_storage().add("key", 2, batch_interface=batch)
            backend.activity_storage().add(Activity("ann", "like", "photo:7"), batch_interface=batch)

    with pytest.raises(StorageFullError, match="maxmemory"):
        write()
    with pytest.raises(StorageFullError, match="maxmemory"):
        backend.timeline_storage().add_to_many(["key", "other"], [2])
    assert ids_in(backend, "key") == [1]
    client.config_set("maxmemory", 0)
    assert list(backend.activity_storage().iterate()) == []
    assert backend.timeline_storage().add("key", 2) == 1
    client.close()


@pytest.mark.parametrize("kind", ["list", "hash", "set"])
def test_a_key_of_another_type_refuses_the_whole_write(
    own_redis_server: OwnRedisServer, backend: Backend, kind: str
) -> None:
    assert isinstance(backend, RedisBackend)
    timelines = backend.timeline_storage()
    timelines.add("good", 1)
    names = backend.session.keys()
    wrong = names.timeline(names.bucket_of("wrong"), "wrong")
    client = own_redis_server.client()
    if kind == "list":
        client.lpush(wrong, "x")
    elif kind == "hash":
        client.hset(wrong, "x", "x")
    else:
        client.sadd(wrong, "x")
    with pytest.raises(StorageError, match="WRONGTYPE"):
        timelines.add_to_many(["good", "wrong", "other"], [2], max_length=5)

    def write() -> None:
        with backend.batch(atomic=True) as batch:
            timelines.add("good", 2, batch_interface=batch)
            backend.kv_storage().upsert("item", 1, batch_interface=batch)
            timelines.add("wrong", 2, batch_interface=batch)

    with pytest.raises(StorageError, match="WRONGTYPE"):
        write()
    assert ids_in(backend, "good") == [1]
    assert list(timelines.keys()) == ["good"]
    assert list(backend.kv_storage().items()) == []
    client.close()


def test_a_server_that_becomes_a_replica_and_a_primary_again(
    own_redis_server: OwnRedisServer, backend: Backend
) -> None:
    timelines = backend.timeline_storage()
    timelines.add("key", 1)
    client = own_redis_server.client()
    writes: list[Callable[[], int | None]] = [
        lambda: timelines.add("key", 2),
        lambda: timelines.add_to_many(["key"], [3], max_length=9),
    ]
    for write in writes:
        client.replicaof(LOOPBACK, own_redis_server.port)
        promotion = threading.Timer(0.1, lambda: client.replicaof("NO", "ONE"))
        promotion.start()
        assert write() == 1
        promotion.join()
    assert ids_in(backend, "key") == [3, 2, 1]
    client.close()


def test_writes_that_no_replica_confirms_are_an_error_and_stay(own_redis_server: OwnRedisServer) -> None:
    with connect(own_redis_server.url, wait_replicas=1, wait_timeout=0.05) as backend:
        with pytest.raises(StorageTimeoutError, match="0 replicas instead of 1"):
            backend.timeline_storage().add("key", 1)
        with connect(own_redis_server.url) as other:
            other.timeline_storage().add("key", 1)
            assert ids_in(other, "key") == [1]


def test_writes_that_a_replica_confirms(own_redis_server: OwnRedisServer) -> None:
    client = own_redis_server.client()
    client.config_set("repl-diskless-sync-delay", 0)
    client.close()
    replica = OwnRedisServer("--replicaof", LOOPBACK, str(own_redis_server.port))
    try:
        with connect(own_redis_server.url, wait_replicas=1, wait_timeout=20, timeout=30) as backend:
            assert backend.timeline_storage().add_to_many(["a", "b"], [1, 2]) == 4
            with backend.batch(atomic=True) as batch:
                backend.timeline_storage().add("a", 3, batch_interface=batch)
        with connect(replica.url) as copy:
            assert ids_in(copy, "a") == [3, 2, 1]
            assert ids_in(copy, "b") == [2, 1]
    finally:
        replica.stop()
