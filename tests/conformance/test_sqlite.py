"""The contract on SQLite."""

from __future__ import annotations

import pytest

from feedstore.testing import BackendContract


@pytest.mark.parametrize("backend_kind", ["sqlite"])
class TestSqlite(BackendContract):
    pass
