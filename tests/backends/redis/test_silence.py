"""Servers that accept connections and never answer, and networks that forget connections."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
import redis

from feedstore import connect
from feedstore.backends.redis import RedisBackend
from feedstore.errors import FeedstoreError, NoMessagesException, StorageTimeoutError, StorageUnavailableError
from feedstore.storage import Backend
from feedstore.testing.delivery_suite import GroupSerializer
from polling import poll_until
from servers.ports import LOOPBACK
from servers.proxy import Forwarder
from servers.redis import OwnRedisServer
from servers.redis_cluster import OwnRedisCluster
from stores import fresh_namespace

SECONDS = 60.0
QUICK = {"timeout": 0.1, "connect_timeout": 0.1, "retry_seconds": 0.2}
CALLS: list[Callable[[Backend], Any]] = [
    lambda backend: backend.timeline_storage().count("key"),
    lambda backend: backend.timeline_storage(serializer_class=GroupSerializer).get_columns("key", 9),
    lambda backend: backend.timeline_storage().add_to_many([f"key{n}" for n in range(30)], [1]),
    lambda backend: backend.kv_storage().upsert("item", 1),
    lambda backend: list(backend.activity_storage().iterate()),
    lambda backend: backend.queue("jobs").push("job"),
    lambda backend: backend.ping(),
]


@pytest.fixture(scope="module", params=["server", "cluster"])
def silent(request: pytest.FixtureRequest) -> Iterator[list[OwnRedisServer]]:
    """A server or those of a Cluster, with a user, which tests pause."""
    cluster = OwnRedisCluster() if request.param == "cluster" else None
    servers = [OwnRedisServer()] if cluster is None else cluster.servers
    for server in servers:
        client: Any = server.client()
        client.execute_command("ACL", "SETUSER", "ann", "on", ">secret", "~*", "&*", "+@all")
        client.close()
    yield servers
    for server in servers:
        server.stop()


@pytest.fixture
def url(silent: list[OwnRedisServer]) -> str:
    """The URL of the servers; connecting begins with a handshake."""
    places = ",".join(f"{LOOPBACK}:{server.port}" for server in silent)
    return f"redis://ann:secret@{places}/3" if len(silent) == 1 else f"redis+cluster://ann:secret@{places}"


@pytest.fixture
def paused(silent: list[OwnRedisServer]) -> Iterator[Callable[[], None]]:
    """A function that pauses the servers until the end of the test."""

    def pause() -> None:
        for server in silent:
            server.pause()

    yield pause
    for server in silent:
        server.resume()
    # The nodes of a Cluster that hung for longer than its timeout first find each other again.
    poll_until(lambda: all(map(_serves, silent)), SECONDS, "the service of all slots")


def _serves(server: OwnRedisServer) -> bool:
    client: Any = server.client()
    try:
        return not client.info("cluster")["cluster_enabled"] or client.cluster("INFO")["cluster_state"] == "ok"
    finally:
        client.close()


def ended(call: Callable[[], Any]) -> Any:
    """Return the error that a call ends with; one that never ends is an error of the test."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call).exception(SECONDS)


@pytest.mark.parametrize("is_connected", [True, False])
def test_every_call_ends(url: str, paused: Callable[[], None], is_connected: bool) -> None:
    with connect(url, namespace=fresh_namespace(), **QUICK) as backend:
        if is_connected:
            for call in CALLS:
                call(backend)
        paused()
        for call in CALLS:
            error = ended(partial(call, backend))
            assert isinstance(error, (StorageTimeoutError, StorageUnavailableError))
            assert "secret" not in str(error)


def test_calls_go_on_when_the_servers_do(url: str, paused: Callable[[], None], silent: list[OwnRedisServer]) -> None:
    with connect(url, namespace=fresh_namespace(), timeout=0.2, retry_seconds=SECONDS) as backend:
        backend.timeline_storage().add("key", 1)
        paused()
        with ThreadPoolExecutor(1) as pool:
            adding = pool.submit(backend.timeline_storage().add, "key", 2)
            assert isinstance(ended(lambda: adding.result(0.5)), Exception)
            for server in silent:
                server.resume()
            assert adding.result(SECONDS) in (0, 1)
        assert backend.timeline_storage().count("key") == 2


def test_a_watch_and_close_end(url: str, paused: Callable[[], None]) -> None:
    backend = connect(url, namespace=fresh_namespace(), **QUICK)
    queue = backend.queue("jobs")
    with pytest.raises(NoMessagesException):
        queue.receive(timeout=0.1)
    paused()
    assert isinstance(ended(lambda: queue.receive(timeout=0.1)), FeedstoreError)
    assert ended(backend.close) is None


def test_one_silent_node_does_not_block_calls_to_the_others(own_redis_cluster: OwnRedisCluster) -> None:
    keys = [f"key{n}" for n in range(30)]
    with RedisBackend(own_redis_cluster.url, wait_replicas=1, wait_timeout=SECONDS / 2, timeout=SECONDS) as careful:
        careful.timeline_storage().add_to_many(keys, [1])
    with RedisBackend(own_redis_cluster.url, timeout=0.5, retry_seconds=SECONDS) as backend:
        backend.timeline_storage().add_to_many(keys[:1], [1])
        silent = own_redis_cluster.primaries()[0]
        silent.pause()
        try:
            # During the call its replica is promoted.
            backend.timeline_storage().add_to_many(keys, [2])
            with RedisBackend(own_redis_cluster.url, timeout=0.5, retry_seconds=SECONDS) as another:
                assert [another.timeline_storage().count(key) for key in keys] == [2] * len(keys)
        finally:
            silent.resume()


@pytest.mark.parametrize("options", [{}, {"max_connections": 3}])
def test_writes_on_connections_that_the_network_forgot_are_sent_again(options: dict[str, Any], redis_url: str) -> None:
    proxy = Forwarder(int(redis_url.rpartition(":")[2]))
    with connect(f"redis://{LOOPBACK}:{proxy.port}", namespace=fresh_namespace(), timeout=0.3, **options) as backend:
        timelines = backend.timeline_storage()
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(lambda number: timelines.add("key", number), range(30)))
            proxy.forget()
            list(pool.map(lambda number: timelines.add("key", number), range(30, 33)))
        proxy.forget()
        backend.kv_storage().upsert("item", 1)
        assert timelines.count("key") == 33
    proxy.close()


def test_the_time_of_a_call_is_bounded_by_default() -> None:
    for url, seconds in (("redis://host", 10.0), ("redis+cluster://host", 20.0), ("redis://host?timeout=30", 60.0)):
        with connect(url) as backend:
            assert isinstance(backend, RedisBackend)
            assert backend.session.store.settings.retry_seconds == seconds


@pytest.mark.parametrize("fixture", ["redis_url", "redis_cluster_url"])
def test_connections_have_keepalive(request: pytest.FixtureRequest, fixture: str) -> None:
    with RedisBackend(request.getfixturevalue(fixture)) as backend:
        connection = backend.session.store.new_connection()
        connection.connect()
        found = connection._sock
        assert found.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert found.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30
        connection.disconnect()


def test_a_script_of_another_client_that_keeps_the_server_busy_passes() -> None:
    server = OwnRedisServer("--lua-time-limit", "10")
    busy = "local function now() local t = redis.call('TIME') return t[1] * 1000 + t[2] / 1000 end "
    busy += "local till = now() + 600 while now() < till do end return 1"
    try:
        with connect(server.url) as warm, connect(server.url) as fresh, ThreadPoolExecutor(1) as pool:
            warm.timeline_storage().add("key", 1)
            client: Any = server.client()
            running = pool.submit(client.eval, busy, 0)
            poll_until(lambda: _is_busy(server), SECONDS, "a busy server")
            assert warm.timeline_storage().add("key", 2) == 1
            assert fresh.timeline_storage().count("key") == 2
            assert running.result(SECONDS) == 1
            client.close()
    finally:
        server.stop()


def _is_busy(server: OwnRedisServer) -> bool:
    client: Any = server.client()
    try:
        client.ping()
    except redis.ResponseError as error:
        return str(error).startswith("BUSY")
    else:
        return False
    finally:
        client.close()
