"""The contract on Cassandra, but for what the storages decide before they call a hook."""

from __future__ import annotations

import pytest

from feedstore.testing import StoreContract


@pytest.mark.parametrize("backend_kind", ["cassandra"])
class TestCassandra(StoreContract):
    pass
