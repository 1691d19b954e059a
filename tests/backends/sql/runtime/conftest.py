"""A backend on an empty database of each kind, closed at the end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from backends.sql.runtime.faulty import Fault, install
from backends.sql.runtime.writes import fill
from backends.sql.schema.conftest import database_kind, database_url
from feedstore import connect
from feedstore.backends.sql import SqlBackend

__all__ = ["database_kind", "database_url"]


@pytest.fixture
def backend(database_url: str) -> Iterator[SqlBackend]:
    with SqlBackend(database_url) as backend:
        yield backend


@pytest.fixture
def other_backend(database_url: str) -> Iterator[SqlBackend]:
    """Another backend on the same database, as another process would have one."""
    with connect(database_url) as backend:
        assert isinstance(backend, SqlBackend)
        yield backend


@pytest.fixture
def fault(database_kind: str, monkeypatch: pytest.MonkeyPatch) -> Fault:
    """Switch that makes statements fail, on every connection that is opened from now on."""
    fault = Fault()
    install(fault, monkeypatch, database_kind)
    return fault


@pytest.fixture
def filled(fault: Fault, database_url: str) -> Iterator[SqlBackend]:
    """A backend whose statements may fail, on a database with rows of every kind."""
    with SqlBackend(database_url) as backend:
        fill(backend)
        yield backend
