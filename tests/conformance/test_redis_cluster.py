"""The contract on Redis Cluster."""

from __future__ import annotations

import pytest

from feedstore.testing import BackendContract


@pytest.mark.parametrize("backend_kind", ["redis_cluster"])
class TestRedisCluster(BackendContract):
    pass
