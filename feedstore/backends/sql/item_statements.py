"""The statements of key-value storages, the same on every dialect."""

from __future__ import annotations

from sqlalchemy import bindparam, delete, select

from feedstore.backends.sql.database import Database
from feedstore.backends.sql.statements import limited, row_at
from feedstore.backends.sql.tables import item_table

_KEY = ("namespace", "name", "key")
KEYS_AT_ONCE = 256
"""How many keys the statement ``fetch_many`` takes."""
_KEYS = tuple(f"key_{number}" for number in range(KEYS_AT_ONCE))


class ItemStatements:
    """The text of each statement on ``feedstore_item``; every one takes the namespace and the storage's name first."""

    def __init__(self, database: Database) -> None:
        columns, text = item_table.c, database.compiler.text
        space = columns.namespace_id == bindparam("namespace"), columns.name == bindparam("name")
        one = (*space, columns.key == bindparam("key"))
        replacing = database.insert(item_table)
        replacing = replacing.on_conflict_do_update(
            index_elements=[columns.namespace_id, columns.name, columns.key], set_={"value": replacing.excluded.value}
        )
        self.upsert = text(replacing, "namespace_id", "name", "key", "value")
        self.fetch = text(select(columns.value).where(*one), *_KEY)
        these = columns.key.in_([bindparam(name) for name in _KEYS])
        self.fetch_many = text(select(columns.key, columns.value).where(*space, these), "namespace", "name", *_KEYS)
        self.delete = text(delete(item_table).where(*one), *_KEY)
        in_range = columns.key >= bindparam("first"), columns.key < bindparam("behind")
        scan = select(columns.key, columns.value).where(*space, *in_range).order_by(columns.key)
        self.scan = text(limited(scan), "namespace", "name", "first", "behind", "limit")
        keys = select(columns.key).where(*space).order_by(columns.key)
        self.key_at = text(row_at(keys), "namespace", "name", "position")
        up_to = (*space, columns.key <= bindparam("last"))
        self.delete_up_to = text(delete(item_table).where(*up_to), "namespace", "name", "last")
        self.delete_all = text(delete(item_table).where(*space), "namespace", "name")
