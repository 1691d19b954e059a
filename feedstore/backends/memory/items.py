"""The items of one key-value storage in memory."""

from __future__ import annotations

import sys

from feedstore.backends.memory.journal import Journal
from feedstore.backends.memory.sorted_keys import SortedKeys
from feedstore.storage.checks import MAX_KEY_BYTES

_LAST = chr(sys.maxunicode)


class Items:
    """Values by key, and the keys in their order."""

    __slots__ = ("_keys", "values")

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self._keys = SortedKeys()

    def put(self, journal: Journal, key: str, data: bytes) -> None:
        """Set the value of a key. O(log n) for a new key, else O(1)."""
        before = self.values.get(key)
        journal.record((_restore, self, key, before))
        if before is None:
            self._keys.add(key)
        self.values[key] = data

    def remove(self, journal: Journal, key: str) -> None:
        """Remove a key. An absent key is no error. O(log n)."""
        before = self.values.get(key)
        if before is not None:
            journal.record((_restore, self, key, before))
            self._keys.discard(key)
            self.values.pop(key, None)

    def scan(self, prefix: str, after: str | None, reverse: bool, limit: int) -> list[tuple[str, bytes]]:
        """Return the first items of a prefix after the key ``after``, in the order of their keys or in reverse."""
        keys = self._keys
        first, end = keys.bisect_left(prefix), keys.bisect_left(_key_above(prefix)) if prefix else len(keys)
        if after is not None and reverse:
            end = max(first, min(end, keys.bisect_left(after)))
        elif after is not None:
            first = min(end, max(first, keys.bisect_right(after)))
        chosen = keys[max(first, end - limit) : end] if reverse else keys[first : min(end, first + limit)]
        return [(key, self.values[key]) for key in (reversed(chosen) if reverse else chosen)]


def _key_above(prefix: str) -> str:
    """Return the least str that is greater than every key with the prefix. No key holds a lone surrogate."""
    for position in range(len(prefix) - 1, -1, -1):
        if prefix[position] != _LAST:
            return prefix[:position] + chr(ord(prefix[position]) + 1)
    return prefix + _LAST * MAX_KEY_BYTES


def _restore(items: Items, key: str, before: bytes | None) -> None:
    """Undo a change of one key, which an interrupt may have left half done."""
    keys = items._keys
    keys.mend()
    if before is None:
        keys.discard(key)
        items.values.pop(key, None)
    else:
        if key not in keys:
            keys.add(key)
        items.values[key] = before
