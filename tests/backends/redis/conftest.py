"""Fixtures of the tests of Redis."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from servers.redis_cluster import OwnRedisCluster


@pytest.fixture(scope="module")
def shared_cluster() -> Iterator[OwnRedisCluster]:
    """A Cluster that accepts any command without effects on the next test, which has another namespace.

    A repair takes longer than a start, so a test that kills servers uses ``own_redis_cluster``. The Cluster ends with
    the file of tests: six idle servers take more processor time until the end of the session than their start.
    """
    cluster = OwnRedisCluster()
    yield cluster
    cluster.stop()
