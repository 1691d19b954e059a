"""The contract on Redis, but for what the storages decide before they call a hook."""

from __future__ import annotations

import pytest

from feedstore.testing import StoreContract


@pytest.mark.parametrize("backend_kind", ["redis"])
class TestRedis(StoreContract):
    pass
