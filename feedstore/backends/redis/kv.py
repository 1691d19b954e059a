"""Key-value items in Redis."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

from feedstore.backends.redis.batch import COMPARE, Write, nothing
from feedstore.backends.redis.command import Command
from feedstore.backends.redis.item_scan import ItemScan
from feedstore.backends.redis.keys import Keys
from feedstore.backends.redis.queue import AGAIN_SECONDS, MILLISECONDS
from feedstore.backends.redis.session import RedisSession
from feedstore.storage import KvStorage
from feedstore.storage.session import AUTOCOMMIT, Pending, Transaction

_MOST_A_TRIP = 500
_TOKEN_BYTES = 8


class RedisKvStorage(KvStorage):
    """A key-value storage with a hash of items and a sorted set of their keys for each bucket.

    The first part of an item's key decides its bucket (see ``feedstore.storage.checks.first_part``).

    A write costs one round trip and O(log n), a read one round trip and O(1), and so does a read of up to 500 keys. A
    scan whose prefix holds a whole first part costs one round trip for each 256 returned items. Any other scan reads
    all buckets and merges their items, with one round trip for about 500 items. If the answer to a conditional write
    was lost, a retry within two minutes returns the result of the first attempt.
    """

    session: RedisSession

    def _upsert(self, key: str, data: bytes, transaction: Transaction = AUTOCOMMIT) -> Pending[None]:
        return self._write_one(transaction, "upsert", key, data)

    def _delete(self, key: str, transaction: Transaction = AUTOCOMMIT) -> Pending[None]:
        return self._write_one(transaction, "discard", key)

    def _write_one(self, transaction: Transaction, kind: str, key: str, *arguments: bytes) -> Pending[None]:
        names = self.session.keys_to_write()
        bucket = names.bucket_of_item(key)
        write = Write(kind, bucket, names.of_items(bucket, self.name), None, (key.encode(), *arguments))
        return self.session.write(transaction, [write], nothing)

    def _flush(self, transaction: Transaction = AUTOCOMMIT) -> Pending[None]:
        """Delete all items, with one round trip."""
        names = self.session.keys_to_write()
        writes = [Write("empty", bucket, names.of_items(bucket, self.name)) for bucket in names.all_buckets]
        return self.session.write(transaction, writes, nothing)

    def _compare_and_set(
        self, key: str, expected: bytes | None, data: bytes | None, transaction: Transaction = AUTOCOMMIT
    ) -> Pending[bool]:
        """Compare and set, with one round trip and O(log n) work."""
        names = self.session.keys_to_write()
        bucket = names.bucket_of_item(key)
        touched = (*names.of_items(bucket, self.name), names.tokens(bucket))
        again = int(max(AGAIN_SECONDS, 2 * self.session.store.settings.retry_seconds) * MILLISECONDS)
        values = [False if value is None else value for value in (expected, data)]
        arguments = (key.encode(), *values, secrets.token_bytes(_TOKEN_BYTES), again)
        write = Write(COMPARE, bucket, touched, None, arguments, self._condition_error(key))
        return self.session.write(transaction, [write], _is_done)

    def _fetch_one(self, key: str) -> bytes | None:
        data: bytes | None = self._ask_about("HGET", key)
        return data

    def _exists(self, key: str) -> bool:
        return bool(self._ask_about("HEXISTS", key))

    def _ask_about(self, command: str, key: str) -> Any:
        names = self.session.keys()
        bucket = names.bucket_of_item(key)
        words = (command, names.of_items(bucket, self.name)[1], key.encode())
        return self.session.store.ask(Command(names.tag(bucket), words))

    def _fetch_many(self, keys: list[str]) -> dict[str, bytes]:
        """Read keys, with one round trip for each 500 and O(1) work for each key."""
        found: dict[str, bytes] = {}
        for first in range(0, len(keys), _MOST_A_TRIP):
            names = self.session.keys()
            groups: dict[int, list[str]] = {}
            for key in keys[first : first + _MOST_A_TRIP]:
                groups.setdefault(names.bucket_of_item(key), []).append(key)
            answers = self.session.store.send([self._many(names, bucket, group) for bucket, group in groups.items()])
            for group, answer in zip(groups.values(), answers, strict=True):
                found.update((key, data) for key, data in zip(group, answer, strict=True) if data is not None)
        return found

    def _many(self, names: Keys, bucket: int, keys: list[str]) -> Command:
        values = names.of_items(bucket, self.name)[1]
        return Command(names.tag(bucket), ("HMGET", values, *(key.encode() for key in keys)))

    def _items(self, prefix: str, after: str | None = None, reverse: bool = False, /) -> Iterator[tuple[str, bytes]]:
        return ItemScan(self.session, self.name, prefix, after, reverse, has_values=True).items()

    def _keys(self, prefix: str, after: str | None, reverse: bool) -> Iterator[str]:
        return ItemScan(self.session, self.name, prefix, after, reverse, has_values=False).keys()


def _is_done(counts: list[Any]) -> bool:
    """Return whether a conditional write was carried out."""
    return counts == [1]
