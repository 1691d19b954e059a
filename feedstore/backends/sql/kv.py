"""Key-value items in SQL."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from feedstore.backends.sql.compiler import next_after
from feedstore.backends.sql.connection import Connection
from feedstore.backends.sql.session import SqlSession
from feedstore.backends.sql.shared_statements import FEW_KEYS, MANY_KEYS
from feedstore.backends.sql.stored import read_bytes, read_text
from feedstore.shown import WHOLE_KEY, shown
from feedstore.storage import KvStorage
from feedstore.storage.session import AUTOCOMMIT, Pending, Transaction

_CHUNK = 256
_ROWS_A_FLUSH = 10_000
# No UTF-8 str holds this byte, so every key is less than it.
_AFTER_EVERY_KEY = b"\xff"


class SqlKvStorage(KvStorage):
    """A key-value storage with a row for each item under (namespace, name, key).

    A read or a write is one statement with O(log n) work. A read of many keys is one statement for each 256. A scan
    reads a range of keys in chunks of 256, and holds no transaction between two chunks.
    """

    session: SqlSession

    def __init__(self, *, backend: Any, name: str = "default") -> None:
        super().__init__(backend=backend, name=name)
        self._name_bytes = name.encode()

    def _upsert(self, key: str, data: bytes, transaction: Transaction = AUTOCOMMIT) -> Pending[None]:
        statement = self.session.statements.items.upsert
        namespace = self.session.namespace_to_write()
        self.session.change_rows(transaction, statement, (namespace, self._name_bytes, key.encode(), data))
        return Pending(None)

    def _fetch_one(self, key: str) -> bytes | None:
        session = self.session
        rows = session.fetch(session.statements.items.fetch, (session.namespace, self._name_bytes, key.encode()))
        if not rows:
            return None
        data = rows[0][0]
        # The name of the item is for the error alone.
        return data if data.__class__ is bytes else read_bytes(data, _item(key))

    def _fetch_many(self, keys: list[str]) -> dict[str, bytes]:
        """Read keys, with one statement for each 256 and O(log n) work for each key."""
        found: dict[str, bytes] = {}
        for first in range(0, len(keys), MANY_KEYS):
            found.update(self._fetch_part([key.encode() for key in keys[first : first + MANY_KEYS]]))
        return found

    def _fetch_part(self, keys: list[bytes]) -> Iterator[tuple[str, bytes]]:
        # A statement is compiled for one number of keys: repeat the last key to fill it.
        count = FEW_KEYS if len(keys) <= FEW_KEYS else MANY_KEYS
        filled = [*keys, *[keys[-1]] * (count - len(keys))]
        parameters = (*filled, self.session.written_namespace(), self._name_bytes)
        rows = self.session.store.fetch(self.session.statements.items.fetch_many[count], parameters)
        found = ((read_text(key, "the key of an item"), data) for key, data in rows if data is not None)
        return ((key, read_bytes(data, _item(key))) for key, data in found)

    def _exists(self, key: str) -> bool:
        session = self.session
        place = (session.namespace, self._name_bytes, key.encode())
        return bool(session.fetch(session.statements.items.exists, place))

    def _compare_and_set(
        self, key: str, expected: bytes | None, data: bytes | None, transaction: Transaction = AUTOCOMMIT
    ) -> Pending[bool]:
        """Compare and set, with one statement.

        A key that must stay absent is inserted and deleted again, so that other transactions wait with their inserts
        until this one ends.
        """
        statements, namespace = self.session.statements.items, self.session.namespace_to_write()
        place = (namespace, self._name_bytes, key.encode())
        if expected is not None:
            return Pending(self.session.change_rows(transaction, statements.replace, (data, *place, expected)) == 1)
        inserted = self.session.change_rows(transaction, statements.insert, (*place, data or b"")) == 1
        if inserted and data is None:
            self.session.change_rows(transaction, statements.delete, place)
        return Pending(inserted)

    def _items(self, prefix: str, after: str | None = None, reverse: bool = False, /) -> Iterator[tuple[str, bytes]]:
        for stored_key, data in self._scan(self.session.statements.items.scan[reverse], prefix, after, reverse):
            key = self._read_key(stored_key)
            yield key, read_bytes(data, _item(key))

    def _keys(self, prefix: str, after: str | None, reverse: bool) -> Iterator[str]:
        for (key,) in self._scan(self.session.statements.items.scan_keys[reverse], prefix, after, reverse):
            yield self._read_key(key)

    def _read_key(self, key: Any) -> str:
        return read_text(key, f"a key of the key-value storage {shown(self.name)}")

    def _scan(self, statement: str, prefix: str, after: str | None, reverse: bool) -> Iterator[tuple[Any, ...]]:
        first, end = prefix.encode(), _end_of(prefix.encode())
        if after is not None and reverse:
            end = min(end, after.encode())
        elif after is not None:
            first = max(first, next_after(after.encode()))
        while True:
            rows = self.session.fetch(statement, (self.session.namespace, self._name_bytes, first, end, _CHUNK))
            yield from rows
            if len(rows) < _CHUNK:
                return
            if reverse:
                end = rows[-1][0]
            else:
                first = next_after(rows[-1][0])

    def _delete(self, key: str, transaction: Transaction = AUTOCOMMIT) -> Pending[None]:
        namespace = self.session.written_namespace()
        if namespace is not None:
            parameters = (namespace, self._name_bytes, key.encode())
            self.session.change_rows(transaction, self.session.statements.items.delete, parameters)
        return Pending(None)

    def _flush(self, transaction: Transaction = AUTOCOMMIT) -> Pending[None]:
        """Delete all items, in transactions of 10,000 rows, or in the transaction of a batch."""
        space = (self.session.written_namespace(), self._name_bytes)
        while self.session.write(transaction, self._flush_some, space).result:
            pass
        return Pending(None)

    def _flush_some(self, connection: Connection, space: tuple[int | None, bytes]) -> bool:
        statements = self.session.statements.items
        last = connection.execute(statements.key_at, (*space, _ROWS_A_FLUSH - 1)).fetchone()
        if last is None:
            connection.execute(statements.delete_all, space)
            return False
        connection.execute(statements.delete_up_to, (*space, last[0]))
        return True


def _item(key: str) -> str:
    return f"the value of {shown(key, WHOLE_KEY)}"


def _end_of(prefix: bytes) -> bytes:
    """Return the end of the range of the keys with a prefix.

    No byte of UTF-8 is 0xff, so adding one to the last byte never overflows.
    """
    return prefix[:-1] + bytes([prefix[-1] + 1]) if prefix else _AFTER_EVERY_KEY
