"""Leave room for updates in the pages of timelines' headers on PostgreSQL."""

from __future__ import annotations

from alembic.operations import Operations

revision = "0004"
down_revision = "0003"


def upgrade(operations: Operations) -> None:
    """Fill pages to a half: PostgreSQL then writes a changed header beside the old one, and changes no index.

    Pages that are full already take the room up as their rows change. SQLite has no such setting, and needs none.
    """
    if operations.get_context().dialect.name == "postgresql":
        operations.execute("ALTER TABLE feedstore_timeline SET (fillfactor = 50)")


def downgrade(operations: Operations) -> None:
    """Fill pages to the end again; every row stays where it is."""
    if operations.get_context().dialect.name == "postgresql":
        operations.execute("ALTER TABLE feedstore_timeline RESET (fillfactor)")
