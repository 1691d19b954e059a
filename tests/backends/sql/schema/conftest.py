"""An empty database of each kind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine

from feedstore.backends.sql.address import parse_address

KINDS = ("sqlite", "postgresql")


@pytest.fixture(params=KINDS)
def database_kind(request: pytest.FixtureRequest) -> str:
    """The name of each kind of database."""
    kind: str = request.param
    return kind


@pytest.fixture
def database_url(database_kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """The URL of an empty database of the test's own."""
    if database_kind == "sqlite":
        return f"sqlite:///{tmp_path / 'feeds.db'}"
    url: str = request.getfixturevalue("postgresql_database")
    return url


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An engine on the empty database, set up as SQLAlchemy sets one up by itself."""
    engine = create_engine(parse_address(database_url).url)
    yield engine
    engine.dispose()
