"""A backend on a database of each kind, closed at the end.

The PostgreSQL database is a copy that has feedstore's tables already: their creation would take most of a quick test.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from backends.sql.runtime.faulty import Fault, install
from backends.sql.runtime.writes import fill
from backends.sql.schema.conftest import database_kind, engine
from backends.sql.schema.conftest import database_url as empty_database_url
from feedstore import connect
from feedstore.backends.sql import SqlBackend
from servers.postgresql import PostgreSQLServer

__all__ = ["database_kind", "empty_database_url", "engine"]


@pytest.fixture(scope="session")
def migrated_template(postgresql_server: PostgreSQLServer) -> Iterator[str]:
    """The name of a PostgreSQL database that has feedstore's tables and no rows."""
    name = postgresql_server.create_database()
    with connect(postgresql_server.url(name)) as backend:
        backend.ping()
    yield name
    postgresql_server.drop_database(name)


@pytest.fixture
def migrated_database(postgresql_server: PostgreSQLServer, migrated_template: str) -> Iterator[str]:
    """The URL of a PostgreSQL database of the test's own that has feedstore's tables and no rows."""
    name = postgresql_server.create_database(migrated_template)
    yield postgresql_server.url(name)
    postgresql_server.drop_database(name)


@pytest.fixture
def database_url(database_kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """The URL of a database of the test's own without rows: a new file, or a database that has the tables."""
    if database_kind == "sqlite":
        return f"sqlite:///{tmp_path / 'feeds.db'}"
    url: str = request.getfixturevalue("migrated_database")
    return url


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
