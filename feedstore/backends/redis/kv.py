"""Key-value items in Redis."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from feedstore.backends.redis.batch import Write
from feedstore.backends.redis.command import Command, call_script
from feedstore.backends.redis.counts import nothing
from feedstore.backends.redis.keys import Keys
from feedstore.backends.redis.scripts import SCAN
from feedstore.errors import StoredDataError
from feedstore.shown import WHOLE_KEY, shown
from feedstore.storage import KvStorage
from feedstore.storage.kv import in_range
from feedstore.storage.transaction import AUTOCOMMIT, Pending, Transaction

if TYPE_CHECKING:
    from feedstore.backends.redis.backend import RedisBackend

_CHUNK = 256
_MOST_A_TRIP = 500
# No byte of UTF-8 is 0xff, so everything that begins with a prefix lies before the prefix and this.
_BEHIND_EVERYTHING = b"\xff"


class RedisKvStorage(KvStorage):
    """Items in a hash, and their keys in a sorted set; both lie in the bucket of the storage's name.

    A write and a read are one round trip, O(log n) and O(1); so is a read of up to 500 keys. A scan is one for each 256
    items that it returns.
    """

    backend: RedisBackend

    def _upsert(self, key: str, data: bytes, transaction: Transaction = AUTOCOMMIT) -> Pending[None]:
        return self._write_one(transaction, "upsert", key.encode(), data)

    def _delete(self, key: str, transaction: Transaction = AUTOCOMMIT) -> Pending[None]:
        return self._write_one(transaction, "discard", key.encode())

    def _flush(self, transaction: Transaction = AUTOCOMMIT) -> Pending[None]:
        return self._write_one(transaction, "empty")

    def _write_one(self, transaction: Transaction, kind: str, *arguments: bytes) -> Pending[None]:
        keys = self.backend.keys_to_write()
        bucket = keys.bucket_of(self.name)
        write = Write(kind, bucket, keys.of_items(bucket, self.name), None, arguments)
        return self.backend.write(transaction, [write], nothing)

    def _fetch_one(self, key: str) -> bytes | None:
        tag, _, values = self._place(self.backend.keys())
        data: bytes | None = self.backend.store.ask(Command(tag, ("HGET", values, key.encode())))
        return data

    def _exists(self, key: str) -> bool:
        tag, _, values = self._place(self.backend.keys())
        return bool(self.backend.store.ask(Command(tag, ("HEXISTS", values, key.encode()))))

    def _fetch_many(self, keys: list[str]) -> dict[str, bytes]:
        """One round trip for each 500; O(1) for each."""
        tag, _, values = self._place(self.backend.keys())
        found: dict[str, bytes] = {}
        for first in range(0, len(keys), _MOST_A_TRIP):
            part = keys[first : first + _MOST_A_TRIP]
            answer = self.backend.store.ask(Command(tag, ("HMGET", values, *(key.encode() for key in part))))
            found.update((key, data) for key, data in zip(part, answer, strict=True) if data is not None)
        return found

    def _place(self, keys: Keys) -> tuple[str, str, str]:
        bucket = keys.bucket_of(self.name)
        return keys.tag(bucket), *keys.of_items(bucket, self.name)

    def _items(self, prefix: str, after: str | None = None, reverse: bool = False, /) -> Iterator[tuple[str, bytes]]:
        return in_range(self._scan(prefix), after, reverse)

    def _scan(self, prefix: str) -> Iterator[tuple[str, bytes]]:
        start = b"[" + prefix.encode()
        end = b"(" + prefix.encode() + _BEHIND_EVERYTHING
        while True:
            tag, index, values = self._place(self.backend.keys())
            found, data = self.backend.store.ask(call_script(tag, SCAN, (index, values), (start, end, _CHUNK)))
            for key, value in zip(found, data, strict=True):
                yield _key_of(index, key, value), value
            if len(found) < _CHUNK:
                return
            start = b"(" + found[-1]


def _key_of(index: str, key: bytes, value: bytes | None) -> str:
    """Return the key of an item. Raises :class:`StoredDataError` for one that is damaged, or has lost its value."""
    if value is None:
        raise StoredDataError(f"the item {shown(key, WHOLE_KEY)} of {shown(index)} has lost its value")
    try:
        return key.decode()
    except UnicodeDecodeError:
        raise StoredDataError(
            f"{shown(index)} holds the key {shown(key, WHOLE_KEY)}, which is not UTF-8; it is damaged"
        ) from None
