"""The tables of the SQL backend, as SQLAlchemy Core metadata.

====================  ==========================================================================================
table                 one row is
====================  ==========================================================================================
feedstore_namespace   a namespace, with the format that its bytes are written in
feedstore_activity    an activity: its id and its serialized bytes
feedstore_timeline    the header of a timeline: its key, how many entries it has, the newest id that a trim dropped
feedstore_entry       an entry of a timeline: the activity's id and, unless it is a mere reference, a payload
feedstore_item        an item of a key-value storage: the storage's name, the key, and the value's bytes
feedstore_queue       the header of a queue: its name, how many messages it has, the position of the last one
feedstore_message     a message of a queue: its place, the time from which it is visible, its deliveries, its bytes
====================  ==========================================================================================

Ids are 16 big-endian bytes, and names and keys are UTF-8, so that both databases sort them as the contract does. A
timeline's floor is ``newest_dropped`` + 1. There are no foreign keys: each would cost one more look-up for every
written entry. On PostgreSQL revision 0004 leaves room for updates in the pages of ``feedstore_timeline``.
The id of a deleted timeline or queue is never used again (hence AUTOINCREMENT on SQLite), so a process that still holds
the id reads nothing instead of another timeline. The migrations under ``schema/migrations/versions`` make exactly these
tables, and a test compares the two.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    Identity,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    text,
)

from feedstore.ids import ID_BYTES

TABLE_PREFIX = "feedstore_"
NAMESPACE_LENGTH = 48

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

# On SQLite only a column of the type INTEGER can be the row's id; all its integers have 64 bits.
_ROW_ID = Integer().with_variant(BigInteger(), "postgresql")

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
    Column("id", _ROW_ID, Identity(), primary_key=True),
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
    Column("timeline_id", _ROW_ID, primary_key=True),
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
    Column("id", _ROW_ID, Identity(), primary_key=True),
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
    Column("queue_id", _ROW_ID, primary_key=True),
    Column("position", BigInteger, primary_key=True),
    Column("visible_at", Double, nullable=False),
    Column("delivery", Integer, nullable=False),
    Column("data", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)
