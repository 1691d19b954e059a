"""The state of a database's schema, and what opening a backend does about it."""

from __future__ import annotations

from sqlalchemy import Engine

from feedstore.backends.sql.tables import metadata


def prepare_schema(engine: Engine, mode: str | None = None) -> None:
    """Create the tables that are missing, unless ``mode`` is ``"ignore"``."""
    if mode != "ignore":
        metadata.create_all(engine)
