"""The contract on Cassandra."""

from __future__ import annotations

import pytest

from feedstore.testing import BackendContract


@pytest.mark.parametrize("backend_kind", ["cassandra"])
class TestCassandra(BackendContract):
    pass
