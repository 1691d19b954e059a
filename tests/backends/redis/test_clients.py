"""Clients that are handed in, and threads that share few connections."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
import redis.asyncio

from everything import use_everything
from feedstore import connect
from feedstore.backends.redis import RedisBackend
from feedstore.backends.redis.pool import OwnConnections
from feedstore.errors import StorageUnavailableError
from feedstore.storage import Backend
from stores import fresh_namespace

_THREADS = 10


@pytest.mark.parametrize(
    "options",
    [
        {"protocol": 2},
        {"protocol": 3},
        {"single_connection_client": True},
        {"encoding": "latin-1"},
        {"health_check_interval": 1},
    ],
)
def test_ready_clients_of_all_kinds(redis_url: str, options: dict[str, Any]) -> None:
    client = redis.Redis.from_url(redis_url, **options)
    with RedisBackend(client=client, namespace=fresh_namespace()) as backend:
        use_everything(backend)
    assert client.ping() is True
    client.close()


def test_a_ready_client_of_a_cluster(redis_cluster_url: str) -> None:
    host, port = redis_cluster_url.partition("://")[2].split(",")[0].split(":")
    client = redis.RedisCluster(host=host, port=int(port))
    with RedisBackend(client=client, namespace=fresh_namespace()) as backend:
        use_everything(backend)
    assert client.ping() is True
    client.close()


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (redis.asyncio.Redis, "redis.asyncio.client.Redis"),
        (lambda: redis.asyncio.RedisCluster(host="localhost"), "redis.asyncio.cluster.RedisCluster"),
        (lambda: redis.Redis().pipeline(), "redis.client.Pipeline"),
        (lambda: "redis://localhost", "str"),
    ],
)
def test_what_is_no_client_is_named(make: Callable[[], Any], name: str) -> None:
    with pytest.raises(TypeError, match=name):
        RedisBackend(client=make())


@pytest.fixture(params=["redis_url", "redis_cluster_url"])
def narrow(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """A backend with fewer connections than there are threads."""
    url = request.getfixturevalue(request.param)
    with connect(url, namespace=fresh_namespace(), max_connections=2) as backend:
        yield backend


def test_threads_wait_for_the_connections_that_others_use(narrow: Backend) -> None:
    timelines = narrow.timeline_storage()
    keys = [f"key{number}" for number in range(40)]

    def work(thread: int) -> None:
        for number in range(20):
            timelines.add_to_many(keys, [thread * 1000 + number])
            assert timelines.contains(keys[number], thread * 1000 + number)

    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(work, range(_THREADS)))
    assert timelines.count("key7") == _THREADS * 20


class _Connection:
    def register_connect_callback(self, callback: Callable[[Any], object]) -> None:
        """Never connected."""


def test_a_connection_that_never_comes_back_is_one_clear_error() -> None:
    connections = OwnConnections(_Connection, most=1, seconds=0.05, when_connected=list)
    taken = connections.take()
    with pytest.raises(redis.exceptions.MaxConnectionsError, match=r"all 1 connections were in use for 0\.05 seconds"):
        connections.take()
    connections.give_back(taken)
    assert connections.take() is taken


def test_a_pool_that_stays_exhausted_is_one_clear_error(redis_url: str) -> None:
    client = redis.Redis.from_url(redis_url, max_connections=1)
    taken: Any = client.connection_pool.get_connection()
    with (
        RedisBackend(client=client, retry_seconds=0.1) as backend,
        pytest.raises(StorageUnavailableError, match="Too many connections"),
    ):
        backend.ping()
    client.connection_pool.release(taken)
    client.close()


def test_a_failed_connection_takes_no_place_in_the_pool() -> None:
    connection = _Connection()
    outcomes: list[Any] = [OSError("not now"), connection]

    def make() -> Any:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    connections = OwnConnections(make, most=1, seconds=0.05, when_connected=list)
    with pytest.raises(OSError, match="not now"):
        connections.take()
    assert connections.take() is connection


def test_no_connection_is_in_two_hands() -> None:
    connections = OwnConnections(_Connection, most=2, seconds=60, when_connected=list)
    in_use: list[Any] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(2000):
                connection = connections.take()
                in_use.append(connection)
                assert in_use.count(connection) == 1
                in_use.remove(connection)
                connections.give_back(connection)
        except BaseException as error:
            errors.append(error)
            raise

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work) for _ in range(_THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert errors == []
