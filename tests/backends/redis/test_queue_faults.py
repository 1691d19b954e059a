"""Queues and subscriptions whose server is killed, cut off, or loses an answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis

from feedstore import connect
from feedstore.backends.redis import RedisBackend
from feedstore.errors import NoMessagesException
from feedstore.storage import Backend
from feedstore.testing.notify_suite import Received
from polling import poll_until
from servers.ports import LOOPBACK
from servers.proxy import Proxy
from servers.redis import OwnRedisServer
from servers.redis_cluster import OwnRedisCluster

SECONDS = 30.0


@pytest.fixture
def backend(own_redis_server: OwnRedisServer) -> Iterator[Backend]:
    """A backend on a server of the test's own."""
    with connect(own_redis_server.url, retry_seconds=20) as backend:
        yield backend


def subscribers(server: OwnRedisServer) -> int:
    """How many connections are subscribed to a channel."""
    client = server.client()
    try:
        clients: list[dict[str, Any]] = client.client_list(_type="pubsub")
        return len(clients)
    finally:
        client.close()


def cut_off(server: OwnRedisServer) -> None:
    """Let the server end every connection that is subscribed."""
    client = server.client()
    assert client.client_kill_filter(_type="pubsub") == 1
    client.close()


def restart(server: OwnRedisServer) -> None:
    """Kill the server and start it again."""
    server.kill()
    server.start()


@pytest.mark.parametrize("disturb", [restart, cut_off])
def test_a_waiting_receive_lives_through(
    own_redis_server: OwnRedisServer, backend: Backend, disturb: Callable[[OwnRedisServer], None]
) -> None:
    queue = backend.queue(visibility_timeout=10 * SECONDS)
    queue.push("before")
    receipt, _ = queue.receive()
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(queue.receive, SECONDS)
        poll_until(lambda: subscribers(own_redis_server) == 1, SECONDS, "the subscription")
        disturb(own_redis_server)
        with connect(own_redis_server.url, retry_seconds=20) as other:
            other.queue().push("after")
        assert waiting.result(SECONDS)[1] == "after"
    assert queue.ack(receipt) is True
    assert queue.count() == 1


@pytest.mark.parametrize("disturb", [restart, cut_off])
def test_a_watch_is_told_of_everything_after_a_gap(
    own_redis_server: OwnRedisServer, backend: Backend, disturb: Callable[[OwnRedisServer], None]
) -> None:
    received = Received()
    with backend.notifier().subscribe(received, recheck_seconds=None) as subscription:
        subscription.add(["a", "b"])
        received.wait_for("a", "b")
        disturb(own_redis_server)
        # No notification was sent, so no consumer can know.
        received.wait_for("a", "b")
        backend.notifier().publish(["b"])
        received.wait_for("b")


def test_a_cluster_loses_the_node_that_a_wait_listens_to(own_redis_cluster: OwnRedisCluster) -> None:
    received = Received()
    url = own_redis_cluster.url
    with connect(url) as backend, connect(url) as other, ThreadPoolExecutor() as pool:
        queue = backend.queue(visibility_timeout=10 * SECONDS)
        subscription = backend.notifier().subscribe(received, recheck_seconds=None)
        subscription.add(["a", "b"])
        received.wait_for("a", "b")
        waiting = pool.submit(queue.receive, 2 * SECONDS)
        (listened_to,) = [server for server in own_redis_cluster.servers if subscribers(server)]
        listened_to.kill()
        received.wait_for("a", "b")
        other.queue().push("after")
        assert waiting.result(2 * SECONDS)[1] == "after"
        other.notifier().publish(["b"])
        received.wait_for("b")


def test_a_push_whose_answer_is_lost_adds_nothing_twice(own_redis_server: OwnRedisServer) -> None:
    proxy = Proxy(own_redis_server.port, b"EVALSHA")
    with connect(f"redis://{LOOPBACK}:{proxy.port}", retry_seconds=5) as backend:
        queue = backend.queue()
        queue.push("warm")
        queue.pop()
        before = proxy.requests
        proxy.plan.extend([None, None])
        queue.push_many([1, 2])
        assert proxy.requests == before + 3
        queue.push(3)
        assert [message for _, message in queue.receive_many(9)] == [1, 2, 3]
    proxy.close()


def test_a_drained_queue_leaves_little_behind_and_that_expires(
    own_redis_server: OwnRedisServer, backend: Backend
) -> None:
    client = own_redis_server.client()
    queue = backend.queue("a\0*{}")
    queue.push_many([1, 2])
    assert [queue.pop(), queue.pop()] == [1, 2]
    left = set(client.scan_iter()) - {b"feedstore{default}"}
    assert all(client.pttl(key) > 0 for key in left)
    queue.push(3)
    queue.flush()
    assert client.keys() == [b"feedstore{default}"]
    client.close()


@pytest.mark.parametrize("protocol", [2, 3])
def test_a_client_that_was_handed_in_hears_too(own_redis_server: OwnRedisServer, protocol: int) -> None:
    client = redis.Redis(host=LOOPBACK, port=own_redis_server.port, protocol=protocol)
    received = Received()
    with RedisBackend(client=client) as backend, backend.notifier().subscribe(received) as subscription:
        subscription.add(["a"])
        backend.timeline_storage(notifier=backend.notifier()).add("a", 1)
        received.wait_for("a")
        with pytest.raises(NoMessagesException):
            backend.queue().receive(0.05)
    client.close()
