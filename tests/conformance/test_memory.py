"""The contract on Memory."""

from __future__ import annotations

import pytest

from feedstore.testing import BackendContract


@pytest.mark.parametrize("backend_kind", ["memory"])
class TestMemory(BackendContract):
    pass
