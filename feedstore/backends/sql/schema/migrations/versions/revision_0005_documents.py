"""Create the tables of nodes, documents and subscriptions, and the full-text index."""

from __future__ import annotations

from alembic.operations import Operations
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Identity,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    String,
    Text,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, TSVECTOR

from feedstore.errors import InvalidValueError, UnsupportedError

revision = "0005"
down_revision = "0004"

_ROW_ID = Integer().with_variant(BigInteger(), "postgresql")
_NAME = Text().with_variant(Text(collation="C"), "postgresql")
_JSON = Text().with_variant(JSONB(), "postgresql")
_WORDS = Text().with_variant(TSVECTOR(), "postgresql")
_TABLES = ("feedstore_pubsub_item", "feedstore_pubsub_sub", "feedstore_pubsub_node")
_FULL_TEXT = (
    (
        "CREATE VIRTUAL TABLE feedstore_pubsub_words USING fts5("
        "words, content='feedstore_pubsub_item', content_rowid='id', tokenize='ascii')"
    ),
    (
        "CREATE TRIGGER feedstore_pubsub_item_added AFTER INSERT ON feedstore_pubsub_item BEGIN "
        "INSERT INTO feedstore_pubsub_words (rowid, words) VALUES (new.id, new.words); END"
    ),
    (
        "CREATE TRIGGER feedstore_pubsub_item_removed AFTER DELETE ON feedstore_pubsub_item BEGIN "
        "INSERT INTO feedstore_pubsub_words (feedstore_pubsub_words, rowid, words) "
        "VALUES ('delete', old.id, old.words); END"
    ),
    (
        "CREATE TRIGGER feedstore_pubsub_item_changed AFTER UPDATE ON feedstore_pubsub_item "
        "WHEN old.words IS NOT new.words OR old.id IS NOT new.id BEGIN "
        "INSERT INTO feedstore_pubsub_words (feedstore_pubsub_words, rowid, words) "
        "VALUES ('delete', old.id, old.words); "
        "INSERT INTO feedstore_pubsub_words (rowid, words) VALUES (new.id, new.words); END"
    ),
)


def upgrade(operations: Operations) -> None:
    """Create the tables, their indexes, and on SQLite the full-text index with its triggers.

    Raises:
        UnsupportedError: The SQLite of this Python lacks FTS5.
    """
    if operations.get_context().dialect.name == "sqlite" and not operations.get_context().as_sql:
        _require_full_text(operations)
    _create_node(operations)
    _create_item(operations)
    operations.create_table(
        "feedstore_pubsub_sub",
        Column("node_id", BigInteger, nullable=False),
        Column("subscriber", _NAME, nullable=False),
        Column("state", String(16), nullable=False),
        PrimaryKeyConstraint("node_id", "subscriber", name="pk_feedstore_pubsub_sub"),
        sqlite_with_rowid=False,
    )
    operations.create_table(
        "feedstore_pubsub_path",
        Column("name", String(63), nullable=False),
        Column("kind", String(16), nullable=False),
        Column("path", Text, nullable=False),
        PrimaryKeyConstraint("name", name="pk_feedstore_pubsub_path"),
        sqlite_with_rowid=False,
    )


def downgrade(operations: Operations) -> None:
    """Drop the tables, if they hold no rows (T15). Indexes on paths are dropped with the documents."""
    if not operations.get_context().as_sql:
        _refuse_to_drop_rows(operations)
    if operations.get_context().dialect.name == "sqlite":
        operations.execute("DROP TABLE feedstore_pubsub_words")
    for name in (*_TABLES, "feedstore_pubsub_path"):
        operations.drop_table(name)


def _require_full_text(operations: Operations) -> None:
    module = text("SELECT sqlite_version(), (SELECT count(*) FROM pragma_module_list WHERE name = 'fts5')")
    version, number = operations.get_bind().execute(module).one()
    if not number:
        raise UnsupportedError(
            f"the SQLite {version} of this Python lacks the full-text index FTS5, which the tables of documents need; "
            "use a Python whose SQLite was built with FTS5 (SQLITE_ENABLE_FTS5)"
        )


def _create_node(operations: Operations) -> None:
    operations.create_table(
        "feedstore_pubsub_node",
        Column("id", _ROW_ID, Identity()),
        Column("namespace_id", Integer, nullable=False),
        Column("account", _NAME, nullable=False),
        Column("service", _NAME, nullable=False),
        Column("name", _NAME, nullable=False),
        Column("subscribed", Boolean, nullable=False, server_default=false()),
        Column("analyser", Text),
        Column("sync_state", String(16)),
        Column("sync_state_updated", BigInteger),
        Column("sync_reason", Text),
        Column("sync_token", Text),
        Column("type", _NAME),
        Column("subtype", _NAME),
        Column("extra", _JSON),
        PrimaryKeyConstraint("id", name="pk_feedstore_pubsub_node"),
        UniqueConstraint(
            "namespace_id",
            "account",
            "service",
            "name",
            name="uq_feedstore_pubsub_node_namespace_id_account_service_name",
        ),
        sqlite_autoincrement=True,
    )


def _create_item(operations: Operations) -> None:
    operations.create_table(
        "feedstore_pubsub_item",
        Column("id", _ROW_ID, Identity()),
        Column("node_id", BigInteger, nullable=False),
        Column("item_id", _NAME, nullable=False),
        Column("payload", LargeBinary, nullable=False),
        Column("publisher", Text),
        Column("parsed", _JSON),
        Column("words", _WORDS, nullable=False, server_default=text("''")),
        Column("created", BigInteger, nullable=False),
        Column("updated", BigInteger, nullable=False),
        PrimaryKeyConstraint("id", name="pk_feedstore_pubsub_item"),
        UniqueConstraint("node_id", "item_id", name="uq_feedstore_pubsub_item_node_id_item_id"),
        sqlite_autoincrement=True,
    )
    table = "feedstore_pubsub_item"
    operations.create_index("ix_feedstore_pubsub_item_created", table, ["node_id", "created", "id"])
    operations.create_index("ix_feedstore_pubsub_item_updated", table, ["node_id", "updated", "id"])
    if operations.get_context().dialect.name == "postgresql":
        operations.create_index("ix_feedstore_pubsub_item_words", table, ["words"], postgresql_using="gin")
        return
    for statement in _FULL_TEXT:
        operations.execute(statement)


def _refuse_to_drop_rows(operations: Operations) -> None:
    for name in _TABLES:
        if operations.get_bind().execute(text(f"SELECT 1 FROM {name} LIMIT 1")).first() is not None:
            raise InvalidValueError(
                f"{name} holds rows, and going below revision {revision} would drop them; "
                "flush the document storages of every namespace first"
            )
