"""The contract on Cassandra, without the refusals that the storages decide before they call a hook."""

from __future__ import annotations

import pytest

from conformance.shared import OnSharedConnections
from feedstore.testing import StoreContract


@pytest.mark.parametrize("backend_kind", ["cassandra"])
class TestCassandra(OnSharedConnections, StoreContract):
    pass
