"""Create the tables of queues and their messages."""

from __future__ import annotations

from alembic.operations import Operations
from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    Identity,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    UniqueConstraint,
    text,
)

from feedstore.errors import InvalidValueError

revision = "0003"
down_revision = "0002"

_ROW_ID = Integer().with_variant(BigInteger(), "postgresql")


def upgrade(operations: Operations) -> None:
    """Create the tables."""
    operations.create_table(
        "feedstore_queue",
        Column("id", _ROW_ID, Identity()),
        Column("namespace_id", Integer, nullable=False),
        Column("name", LargeBinary, nullable=False),
        Column("length", Integer, nullable=False),
        Column("last_position", BigInteger, nullable=False),
        PrimaryKeyConstraint("id", name="pk_feedstore_queue"),
        UniqueConstraint("namespace_id", "name", name="uq_feedstore_queue_namespace_id_name"),
        sqlite_autoincrement=True,
    )
    operations.create_table(
        "feedstore_message",
        Column("queue_id", _ROW_ID, nullable=False),
        Column("position", BigInteger, nullable=False),
        Column("visible_at", Double, nullable=False),
        Column("delivery", Integer, nullable=False),
        Column("data", LargeBinary, nullable=False),
        PrimaryKeyConstraint("queue_id", "position", name="pk_feedstore_message"),
        sqlite_with_rowid=False,
    )


def downgrade(operations: Operations) -> None:
    """Drop the tables, if they hold no message (T15)."""
    if not operations.get_context().as_sql:
        _refuse_to_drop_messages(operations)
    operations.drop_table("feedstore_message")
    operations.drop_table("feedstore_queue")


def _refuse_to_drop_messages(operations: Operations) -> None:
    if operations.get_bind().execute(text("SELECT 1 FROM feedstore_message LIMIT 1")).first() is not None:
        raise InvalidValueError(
            f"feedstore_message holds rows, and going below revision {revision} would drop them; "
            "receive and acknowledge them, or flush the queues, first"
        )
