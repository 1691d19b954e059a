"""Key-value items in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from sortedcontainers import SortedDict

from feedstore.backends.memory.private import new_private_backend
from feedstore.storage import KvStorage

if TYPE_CHECKING:
    from feedstore.backends.memory.backend import MemoryBackend

_CHUNK = 256


class InMemoryKvStorage(KvStorage):
    """Items in a sorted dictionary; on its own, ``InMemoryKvStorage(items)`` makes a private store with a copy of them.

    A write costs O(log n), a read O(1), a scan O(log n) and what it returns.
    """

    backend: MemoryBackend

    def __init__(
        self,
        items: Mapping[str, Any] | None = None,
        *,
        backend: MemoryBackend | None = None,
        name: str = "default",
    ) -> None:
        super().__init__(backend=new_private_backend() if backend is None else backend, name=name)
        for key, value in ({} if items is None else items).items():
            self.upsert(key, value)

    def _sorted_items(self) -> SortedDict:
        items = self.backend.space.items
        found = items.get(self.name)
        if found is None:
            found = items[self.name] = SortedDict()
        return found

    def _upsert(self, key: str, data: bytes) -> None:
        with self.backend.lock:
            self._sorted_items()[key] = data

    def _fetch_one(self, key: str) -> bytes | None:
        with self.backend.lock:
            data: bytes | None = self._sorted_items().get(key)
            return data

    def _fetch_many(self, keys: list[str]) -> dict[str, bytes]:
        """O(1) for each."""
        with self.backend.lock:
            items = self._sorted_items()
            return {key: items[key] for key in keys if key in items}

    def _items(self, prefix: str) -> Iterator[tuple[str, bytes]]:
        chunk = self._chunk(prefix, inclusive=True)
        while chunk:
            for key, data in chunk:
                if not key.startswith(prefix):
                    return
                yield key, data
            chunk = self._chunk(chunk[-1][0], inclusive=False)

    def _chunk(self, first: str, inclusive: bool) -> list[tuple[str, bytes]]:
        with self.backend.lock:
            items = self._sorted_items()
            keys = islice(items.irange(minimum=first, inclusive=(inclusive, True)), _CHUNK)
            return [(key, items[key]) for key in keys]

    def _delete(self, key: str) -> None:
        with self.backend.lock:
            self._sorted_items().pop(key, None)

    def _flush(self) -> None:
        with self.backend.lock:
            self._sorted_items().clear()
