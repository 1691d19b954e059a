"""What the tests of Redis share besides the session's servers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from polling import poll_until
from servers.redis import OwnRedisServer
from servers.redis_cluster import OwnRedisCluster

_SECONDS = 60


@pytest.fixture(scope="package")
def shared_cluster() -> Iterator[OwnRedisCluster]:
    """A Cluster for all tests of this folder."""
    cluster = OwnRedisCluster()
    yield cluster
    cluster.stop()


@pytest.fixture
def mended_cluster(shared_cluster: OwnRedisCluster) -> Iterator[OwnRedisCluster]:
    """The same, whose servers the test may kill: it is whole again afterwards, without what they held. Keep to fresh
    namespaces.
    """
    yield shared_cluster
    for server in shared_cluster.servers:
        if not _is_alive(server):
            server.start()
    poll_until(shared_cluster.is_whole, _SECONDS, "the Cluster's new copies")


def _is_alive(server: OwnRedisServer) -> bool:
    client = server.client()
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False
    finally:
        client.close()
