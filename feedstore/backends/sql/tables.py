"""The tables of the SQL backend, as SQLAlchemy Core metadata.

=====================  ==========================================================================================
table                  one row is
=====================  ==========================================================================================
feedstore_namespace    a namespace, with the format that its bytes are written in
feedstore_activity     an activity: its id and its serialized bytes
feedstore_timeline     the header of a timeline: its key, how many entries it has, the newest id that a trim dropped
feedstore_entry        an entry of a timeline: the activity's id and, unless it is a mere reference, a payload
feedstore_item         an item of a key-value storage: the storage's name, the key, and the value's bytes
feedstore_queue        the header of a queue: its name, how many messages it has, the position of the last one
feedstore_message      a message of a queue: its place, the time from which it is visible, its deliveries, its bytes
feedstore_pubsub_node  a node of documents of an account, with the state of its synchronisation
feedstore_pubsub_item  a document of a node: its raw bytes, parsed JSON, words and times
feedstore_pubsub_sub   a subscription of a user to a node
feedstore_pubsub_path  an index on a path of parsed documents, which an application created
=====================  ==========================================================================================

Ids are 16 big-endian bytes, and names and keys are UTF-8, so that both databases sort them as the contract does. A
timeline's floor is ``newest_dropped`` + 1. There are no foreign keys: each would cost one more look-up for every
written entry. On PostgreSQL revision 0004 leaves room for updates in the pages of ``feedstore_timeline``.
The id of a deleted timeline or queue is never used again (hence AUTOINCREMENT on SQLite), so a process that still holds
the id reads nothing instead of another timeline. The id of a document is its place in the order in which documents
were first stored. On SQLite the words of documents are also in ``feedstore_pubsub_words``, a full-text index (FTS5)
that triggers keep exact, also with writes of other programs. FTS5 keeps it in tables whose names begin with that name.
On PostgreSQL the column of the words has a GIN index. The migrations under ``schema/migrations/versions`` make exactly
these tables, and a test compares the two.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    DDL,
    BigInteger,
    Boolean,
    Column,
    Double,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    event,
    false,
    text,
)

from feedstore.backends.sql.column_types import NAME_TYPE, JsonObject, SearchWords, UtcTime, state_type
from feedstore.ids import ID_BYTES
from feedstore.storage.documents.values import SubscriptionState, SyncState

TABLE_PREFIX = "feedstore_"
WORDS_TABLE = "feedstore_pubsub_words"
WORDS_INDEX = "ix_feedstore_pubsub_item_words"
PATH_INDEX_PREFIX = "feedstore_path_"
NAMESPACE_LENGTH = 48

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

# On SQLite only a column of the type INTEGER can be the row's id; all its integers have 64 bits.
ROW_ID = Integer().with_variant(BigInteger(), "postgresql")

namespace_table = Table(
    "feedstore_namespace",
    metadata,
    Column("id", Integer, Identity(), primary_key=True),
    Column("name", String(NAMESPACE_LENGTH), nullable=False, unique=True),
    Column("format", Integer, nullable=False),
)

activity_table = Table(
    "feedstore_activity",
    metadata,
    Column("namespace_id", Integer, primary_key=True),
    Column("activity_id", LargeBinary(ID_BYTES), primary_key=True),
    Column("data", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

timeline_table = Table(
    "feedstore_timeline",
    metadata,
    Column("id", ROW_ID, Identity(), primary_key=True),
    Column("namespace_id", Integer, nullable=False),
    Column("key", LargeBinary, nullable=False),
    Column("length", Integer, nullable=False, server_default=text("0")),
    Column("newest_dropped", LargeBinary(ID_BYTES)),
    UniqueConstraint("namespace_id", "key"),
    sqlite_autoincrement=True,
)

entry_table = Table(
    "feedstore_entry",
    metadata,
    Column("timeline_id", ROW_ID, primary_key=True),
    Column("activity_id", LargeBinary(ID_BYTES), primary_key=True),
    Column("data", LargeBinary),
    sqlite_with_rowid=False,
)

item_table = Table(
    "feedstore_item",
    metadata,
    Column("namespace_id", Integer, primary_key=True),
    Column("name", LargeBinary, primary_key=True),
    Column("key", LargeBinary, primary_key=True),
    Column("value", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

queue_table = Table(
    "feedstore_queue",
    metadata,
    Column("id", ROW_ID, Identity(), primary_key=True),
    Column("namespace_id", Integer, nullable=False),
    Column("name", LargeBinary, nullable=False),
    Column("length", Integer, nullable=False),
    Column("last_position", BigInteger, nullable=False),
    UniqueConstraint("namespace_id", "name"),
    sqlite_autoincrement=True,
)

message_table = Table(
    "feedstore_message",
    metadata,
    Column("queue_id", ROW_ID, primary_key=True),
    Column("position", BigInteger, primary_key=True),
    Column("visible_at", Double, nullable=False),
    Column("delivery", Integer, nullable=False),
    Column("data", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

node_table = Table(
    "feedstore_pubsub_node",
    metadata,
    Column("id", ROW_ID, Identity(), primary_key=True),
    Column("namespace_id", Integer, nullable=False),
    Column("account", NAME_TYPE, nullable=False),
    Column("service", NAME_TYPE, nullable=False),
    Column("name", NAME_TYPE, nullable=False),
    Column("subscribed", Boolean, nullable=False, server_default=false()),
    Column("analyser", Text),
    Column("sync_state", state_type(SyncState)),
    Column("sync_state_updated", UtcTime),
    Column("sync_reason", Text),
    Column("sync_token", Text),
    Column("type", NAME_TYPE),
    Column("subtype", NAME_TYPE),
    Column("extra", JsonObject),
    UniqueConstraint("namespace_id", "account", "service", "name"),
    sqlite_autoincrement=True,
)

document_table = Table(
    "feedstore_pubsub_item",
    metadata,
    Column("id", ROW_ID, Identity(), primary_key=True),
    Column("node_id", BigInteger, nullable=False),
    Column("item_id", NAME_TYPE, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("publisher", Text),
    Column("parsed", JsonObject),
    Column("words", SearchWords, nullable=False, server_default=text("''")),
    Column("created", UtcTime, nullable=False),
    Column("updated", UtcTime, nullable=False),
    UniqueConstraint("node_id", "item_id"),
    Index("ix_feedstore_pubsub_item_created", "node_id", "created", "id"),
    Index("ix_feedstore_pubsub_item_updated", "node_id", "updated", "id"),
    sqlite_autoincrement=True,
)

subscription_table = Table(
    "feedstore_pubsub_sub",
    metadata,
    Column("node_id", BigInteger, primary_key=True),
    Column("subscriber", NAME_TYPE, primary_key=True),
    Column("state", state_type(SubscriptionState), nullable=False),
    sqlite_with_rowid=False,
)

path_index_table = Table(
    "feedstore_pubsub_path",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("path", Text, nullable=False),
    sqlite_with_rowid=False,
)

FULL_TEXT_STATEMENTS = (
    (
        f"CREATE VIRTUAL TABLE {WORDS_TABLE} USING fts5("
        "words, content='feedstore_pubsub_item', content_rowid='id', tokenize='ascii')"
    ),
    (
        "CREATE TRIGGER feedstore_pubsub_item_added AFTER INSERT ON feedstore_pubsub_item BEGIN "
        f"INSERT INTO {WORDS_TABLE} (rowid, words) VALUES (new.id, new.words); END"
    ),
    (
        "CREATE TRIGGER feedstore_pubsub_item_removed AFTER DELETE ON feedstore_pubsub_item BEGIN "
        f"INSERT INTO {WORDS_TABLE} ({WORDS_TABLE}, rowid, words) VALUES ('delete', old.id, old.words); END"
    ),
    (
        "CREATE TRIGGER feedstore_pubsub_item_changed AFTER UPDATE ON feedstore_pubsub_item "
        "WHEN old.words IS NOT new.words OR old.id IS NOT new.id BEGIN "
        f"INSERT INTO {WORDS_TABLE} ({WORDS_TABLE}, rowid, words) VALUES ('delete', old.id, old.words); "
        f"INSERT INTO {WORDS_TABLE} (rowid, words) VALUES (new.id, new.words); END"
    ),
)
"""The statements that make the full-text index of a SQLite file, beside ``feedstore_pubsub_item``."""


def _listen(moment: str, dialect: str, statement: str) -> None:
    definition: Any = DDL(statement)  # type: ignore[no-untyped-call]
    event.listen(document_table, moment, definition.execute_if(dialect=dialect))


for _statement in FULL_TEXT_STATEMENTS:
    _listen("after_create", "sqlite", _statement)
_listen("before_drop", "sqlite", f"DROP TABLE IF EXISTS {WORDS_TABLE}")
# An Index with the option postgresql_using loads the dialect of PostgreSQL, also in programs that open SQLite alone.
_listen("after_create", "postgresql", f"CREATE INDEX {WORDS_INDEX} ON feedstore_pubsub_item USING gin (words)")
