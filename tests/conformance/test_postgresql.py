"""The contract on PostgreSQL."""

from __future__ import annotations

import pytest

from feedstore.testing import BackendContract


@pytest.mark.parametrize("backend_kind", ["postgresql"])
class TestPostgresql(BackendContract):
    pass
