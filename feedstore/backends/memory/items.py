"""The items of one key-value storage in memory."""

from __future__ import annotations

from feedstore.backends.memory.journal import Journal
from feedstore.backends.memory.sorted_keys import SortedKeys


class Items:
    """Values by key, and the keys in their order."""

    __slots__ = ("_keys", "values")

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self._keys = SortedKeys()

    def put(self, journal: Journal, key: str, data: bytes) -> None:
        """Set the value of a key. O(log n) for a new key, else O(1)."""
        if key not in self.values:
            journal.record((self._keys.discard, key))
            self._keys.add(key)
        journal.set_item(self.values, key, data)

    def remove(self, journal: Journal, key: str) -> None:
        """Remove a key; one that is not there is no error. O(log n)."""
        if key in self.values:
            journal.record((self._keys.add, key))
            self._keys.discard(key)
            journal.remove_item(self.values, key)

    def after(self, first: str, inclusive: bool, limit: int) -> list[tuple[str, bytes]]:
        """Return the first items from ``first`` on, in the order of their keys."""
        keys = self._keys
        start = keys.bisect_left(first) if inclusive else keys.bisect_right(first)
        return [(key, self.values[key]) for key in keys.slice(start, start + limit)]
