"""Key-value items in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from feedstore.backends.memory.items import Items
from feedstore.backends.memory.journal import Journal
from feedstore.backends.memory.session import MemorySession
from feedstore.storage import KvStorage
from feedstore.storage.session import AUTOCOMMIT, Pending, Transaction

_CHUNK = 256


class InMemoryKvStorage(KvStorage):
    """A key-value storage over a sorted dictionary. ``InMemoryKvStorage(items)`` makes a private store with a copy.

    A write costs O(log n), a read O(1), and a scan O(log n + result).
    """

    session: MemorySession

    def __init__(
        self,
        items: Mapping[str, Any] | None = None,
        *,
        backend: Any = None,
        name: str = "default",
    ) -> None:
        super().__init__(backend=MemorySession() if backend is None else backend, name=name)
        for key, value in ({} if items is None else items).items():
            self.upsert(key, value)

    def _items_here(self) -> Items:
        items = self.session.space.items
        found = items.get(self.name)
        if found is None:
            found = items[self.name] = Items()
        return found

    def _upsert(self, key: str, data: bytes, transaction: Transaction = AUTOCOMMIT) -> Pending[None]:
        return self.session.write(self._put, key, data)

    def _put(self, journal: Journal, key: str, data: bytes) -> None:
        self._items_here().put(journal, key, data)

    def _fetch_one(self, key: str) -> bytes | None:
        with self.session.lock:
            return self._items_here().values.get(key)

    def _fetch_many(self, keys: list[str]) -> dict[str, bytes]:
        """Read keys, with O(1) work for each."""
        with self.session.lock:
            values = self._items_here().values
            return {key: values[key] for key in keys if key in values}

    def _compare_and_set(
        self, key: str, expected: bytes | None, data: bytes | None, transaction: Transaction = AUTOCOMMIT
    ) -> Pending[bool]:
        return self.session.write(self._put_if, key, expected, data)

    def _put_if(self, journal: Journal, key: str, expected: bytes | None, data: bytes | None) -> bool:
        items = self._items_here()
        if items.values.get(key) != expected:
            return False
        if data is not None:
            items.put(journal, key, data)
        return True

    def _items(self, prefix: str, after: str | None = None, reverse: bool = False, /) -> Iterator[tuple[str, bytes]]:
        last = after
        while True:
            with self.session.lock:
                chunk = self._items_here().scan(prefix, last, reverse, _CHUNK)
            yield from chunk
            if len(chunk) < _CHUNK:
                return
            last = chunk[-1][0]

    def _delete(self, key: str, transaction: Transaction = AUTOCOMMIT) -> Pending[None]:
        return self.session.write(self._remove, key)

    def _remove(self, journal: Journal, key: str) -> None:
        self._items_here().remove(journal, key)

    def _flush(self, transaction: Transaction = AUTOCOMMIT) -> Pending[None]:
        return self.session.write(self._remove_all)

    def _remove_all(self, journal: Journal) -> None:
        journal.set_item(self.session.space.items, self.name, Items())
