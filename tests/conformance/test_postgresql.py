"""The contract on PostgreSQL, without the refusals that the storages decide before they call a hook."""

from __future__ import annotations

import pytest

from conformance.shared import OnSharedConnections
from feedstore.testing import DocumentContract, StoreContract


@pytest.mark.parametrize("backend_kind", ["postgresql"])
class TestPostgresql(OnSharedConnections, StoreContract):
    pass


@pytest.mark.parametrize("backend_kind", ["postgresql"])
class TestPostgresqlDocuments(OnSharedConnections, DocumentContract):
    pass
