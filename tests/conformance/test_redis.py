"""The contract on Redis."""

from __future__ import annotations

import pytest

from feedstore.testing import BackendContract


@pytest.mark.parametrize("backend_kind", ["redis"])
class TestRedis(BackendContract):
    pass
