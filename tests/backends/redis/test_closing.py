"""Backends that are closed while other threads use them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from feedstore import connect
from feedstore.errors import BackendClosedError
from polling import poll_until
from servers.ports import LOOPBACK
from servers.proxy import Proxy
from servers.redis import OwnRedisServer
from servers.redis_cluster import OwnRedisCluster
from stores import fresh_namespace

SECONDS = 30.0
NAME = "to-be-closed"


@pytest.fixture(params=["own_redis_server", "shared_cluster"])
def servers(request: pytest.FixtureRequest) -> list[OwnRedisServer]:
    """A server, and those of a Cluster."""
    found: OwnRedisServer | OwnRedisCluster = request.getfixturevalue(request.param)
    return found.servers if isinstance(found, OwnRedisCluster) else [found]


@pytest.fixture
def paused(servers: list[OwnRedisServer]) -> Iterator[list[OwnRedisServer]]:
    """The same, for tests that let them keep writes waiting."""
    yield servers
    unpause(servers)


def url_of(servers: list[OwnRedisServer]) -> str:
    return servers[0].url if len(servers) == 1 else f"redis+cluster://{LOOPBACK}:{servers[0].port}"


def pause(servers: list[OwnRedisServer]) -> None:
    """Let writes wait."""
    for server in servers:
        client = server.client()
        client.client_pause(int(2000 * SECONDS), all=False)
        client.close()


def unpause(servers: list[OwnRedisServer]) -> None:
    """Let writes go on."""
    for server in servers:
        client = server.client()
        client.client_unpause()
        client.close()


def flags_of(servers: list[OwnRedisServer]) -> list[str]:
    """The flags of each open connection of the backend."""
    found = []
    for server in servers:
        client = server.client()
        found += [one["flags"] for one in client.client_list() if one["name"] == NAME]
        client.close()
    return found


def test_what_is_under_way_ends_and_leaves_nothing_open(paused: list[OwnRedisServer]) -> None:
    backend = connect(url_of(paused), namespace=fresh_namespace(), client_name=NAME, timeout=SECONDS)
    timelines = backend.timeline_storage()
    timelines.add("key", 1)
    pause(paused)
    with ThreadPoolExecutor() as pool:
        adding = pool.submit(timelines.add, "key", 2)
        poll_until(lambda: "b" in flags_of(paused), SECONDS, "the waiting request")
        backend.close()
        unpause(paused)
        assert adding.result(SECONDS) == 1
    poll_until(lambda: flags_of(paused) == [], SECONDS, "the end of all connections")


def test_what_is_tried_again_ends_soon_and_leaves_nothing_open(own_redis_server: OwnRedisServer) -> None:
    proxy = Proxy(own_redis_server.port, b"EVALSHA")
    backend = connect(f"redis://{LOOPBACK}:{proxy.port}", retry_seconds=2 * SECONDS, client_name=NAME)
    timelines = backend.timeline_storage()
    timelines.add("key", 1)
    proxy.plan.extend([b"-LOADING Redis is loading the dataset in memory\r\n"] * 10_000)
    before = proxy.requests
    with ThreadPoolExecutor() as pool:
        adding = pool.submit(timelines.add, "key", 2)
        poll_until(lambda: proxy.requests > before + 1, SECONDS, "a second attempt")
        backend.close()
        with pytest.raises(BackendClosedError, match="was closed during a request"):
            adding.result(SECONDS)
    poll_until(lambda: flags_of([own_redis_server]) == [], SECONDS, "the end of all connections")
    proxy.close()
