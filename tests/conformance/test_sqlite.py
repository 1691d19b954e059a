"""The contract on SQLite, without the refusals that the storages decide before they call a hook."""

from __future__ import annotations

import pytest

from conformance.shared import OnSharedConnections
from feedstore.testing import StoreContract, WholeDocumentContract


@pytest.mark.parametrize("backend_kind", ["sqlite"])
class TestSqlite(OnSharedConnections, StoreContract):
    pass


@pytest.mark.parametrize("backend_kind", ["sqlite"])
class TestSqliteDocuments(OnSharedConnections, WholeDocumentContract):
    pass
