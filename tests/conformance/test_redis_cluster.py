"""The contract on Redis Cluster, without the refusals that the storages decide before they call a hook."""

from __future__ import annotations

import pytest

from conformance.shared import OnSharedConnections
from feedstore.testing import StoreContract


@pytest.mark.parametrize("backend_kind", ["redis_cluster"])
class TestRedisCluster(OnSharedConnections, StoreContract):
    pass
