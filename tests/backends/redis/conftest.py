"""What the tests of Redis share besides the session's servers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from servers.redis_cluster import OwnRedisCluster


@pytest.fixture(scope="package")
def shared_cluster() -> Iterator[OwnRedisCluster]:
    """A Cluster whose servers may be told anything that does not harm the next test, which has another namespace. To
    mend one takes longer than to start one: ``own_redis_cluster`` is for those who kill.
    """
    cluster = OwnRedisCluster()
    yield cluster
    cluster.stop()
