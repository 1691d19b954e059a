"""Give a timeline's header its length and the newest id that a trim dropped."""

from __future__ import annotations

from alembic.operations import Operations
from sqlalchemy import Column, Integer, LargeBinary, text

revision = "0002"
down_revision = "0001"


def upgrade(operations: Operations) -> None:
    """Add the columns, and count the entries with one scan of their index."""
    operations.add_column("feedstore_timeline", Column("length", Integer, nullable=False, server_default=text("0")))
    operations.add_column("feedstore_timeline", Column("newest_dropped", LargeBinary(16)))
    operations.execute(
        "UPDATE feedstore_timeline SET length = "
        "(SELECT count(*) FROM feedstore_entry WHERE feedstore_entry.timeline_id = feedstore_timeline.id)"
    )


def downgrade(operations: Operations) -> None:
    """Drop the columns; every row stays. Which timelines were trimmed, and how far, is forgotten."""
    operations.drop_column("feedstore_timeline", "newest_dropped")
    operations.drop_column("feedstore_timeline", "length")
