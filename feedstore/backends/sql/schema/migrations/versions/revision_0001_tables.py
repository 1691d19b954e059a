"""Create the five tables."""

from __future__ import annotations

from alembic.operations import Operations
from sqlalchemy import (
    BigInteger,
    Column,
    Identity,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    String,
    UniqueConstraint,
    text,
)

from feedstore.errors import InvalidValueError, UnsupportedError

revision = "0001"
down_revision = None

_TIMELINE_ID = Integer().with_variant(BigInteger(), "postgresql")
_TABLES_OF_DATA = ("feedstore_item", "feedstore_entry", "feedstore_timeline", "feedstore_activity")


def upgrade(operations: Operations) -> None:
    """Create the tables.

    Raises:
        UnsupportedError: The SQLite database stores text as UTF-16.
    """
    if operations.get_context().dialect.name == "sqlite" and not operations.get_context().as_sql:
        _require_utf_8(operations)
    _create_namespace(operations)
    _create_activity(operations)
    _create_timeline(operations)
    _create_entry(operations)
    _create_item(operations)


def downgrade(operations: Operations) -> None:
    """Drop the tables, if they hold no data (T15)."""
    if not operations.get_context().as_sql:
        _refuse_to_drop_data(operations)
    for name in (*_TABLES_OF_DATA, "feedstore_namespace"):
        operations.drop_table(name)


def _require_utf_8(operations: Operations) -> None:
    # Statements make keys and payloads of text, and text of them.
    encoding = operations.get_bind().execute(text("PRAGMA encoding")).scalar_one()
    if encoding != "UTF-8":
        raise UnsupportedError(
            f"the SQLite database stores text as {encoding}, in which statements would change stored bytes; use a "
            "database in UTF-8, which is the encoding of a new file"
        )


def _create_namespace(operations: Operations) -> None:
    operations.create_table(
        "feedstore_namespace",
        Column("id", Integer, Identity()),
        Column("name", String(48), nullable=False),
        Column("format", Integer, nullable=False),
        PrimaryKeyConstraint("id", name="pk_feedstore_namespace"),
        UniqueConstraint("name", name="uq_feedstore_namespace_name"),
    )


def _create_activity(operations: Operations) -> None:
    operations.create_table(
        "feedstore_activity",
        Column("namespace_id", Integer, nullable=False),
        Column("activity_id", LargeBinary(16), nullable=False),
        Column("data", LargeBinary, nullable=False),
        PrimaryKeyConstraint("namespace_id", "activity_id", name="pk_feedstore_activity"),
        sqlite_with_rowid=False,
    )


def _create_timeline(operations: Operations) -> None:
    operations.create_table(
        "feedstore_timeline",
        Column("id", _TIMELINE_ID, Identity()),
        Column("namespace_id", Integer, nullable=False),
        Column("key", LargeBinary, nullable=False),
        PrimaryKeyConstraint("id", name="pk_feedstore_timeline"),
        UniqueConstraint("namespace_id", "key", name="uq_feedstore_timeline_namespace_id_key"),
        sqlite_autoincrement=True,
    )


def _create_entry(operations: Operations) -> None:
    operations.create_table(
        "feedstore_entry",
        Column("timeline_id", _TIMELINE_ID, nullable=False),
        Column("activity_id", LargeBinary(16), nullable=False),
        Column("data", LargeBinary),
        PrimaryKeyConstraint("timeline_id", "activity_id", name="pk_feedstore_entry"),
        sqlite_with_rowid=False,
    )


def _create_item(operations: Operations) -> None:
    operations.create_table(
        "feedstore_item",
        Column("namespace_id", Integer, nullable=False),
        Column("name", LargeBinary, nullable=False),
        Column("key", LargeBinary, nullable=False),
        Column("value", LargeBinary, nullable=False),
        PrimaryKeyConstraint("namespace_id", "name", "key", name="pk_feedstore_item"),
        sqlite_with_rowid=False,
    )


def _refuse_to_drop_data(operations: Operations) -> None:
    for name in _TABLES_OF_DATA:
        if operations.get_bind().execute(text(f"SELECT 1 FROM {name} LIMIT 1")).first() is not None:
            raise InvalidValueError(
                f"{name} holds rows, and going below revision {revision} would drop them; "
                "flush the storages of every namespace first, or drop the database yourself"
            )
