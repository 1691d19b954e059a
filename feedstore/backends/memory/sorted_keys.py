"""Sorted keys in memory, which stay complete if an interrupt ends a change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sortedcontainers import SortedList


class SortedKeys(SortedList):  # type: ignore[misc]
    """Distinct keys in ascending order.

    A signal handler may raise between any two steps of the interpreter. Every change here alters ``_lists``, the lists
    of keys, in one step, so that no key is lost or doubled. All other attributes are derived from ``_lists``, and after
    an interrupt :meth:`mend` computes them again. ``add``, ``discard`` and ``drop_first`` are safe in this way. The
    methods ``update``, ``clear`` and ``del keys[start:stop]`` of sortedcontainers are not: make new keys instead.
    """

    def ends_before(self, key: Any) -> bool:
        """Return whether all keys are less than ``key``. O(1)."""
        maxes = self._maxes
        return not maxes or key > maxes[-1]

    def is_new(self, key: Any) -> bool:
        """Return whether the key is absent. O(1) for a key above the greatest, else O(log n)."""
        maxes = self._maxes
        return not maxes or key > maxes[-1] or key not in self

    def add_recorded(self, key: Any, record: Callable[[Any], None], step: Any) -> bool:
        """Add an absent key after calling ``record(step)``. Return whether it was absent."""
        maxes = self._maxes
        if maxes and key > maxes[-1] and not self._index and len(last := self._lists[-1]) < 2 * self._load:
            record(step)
            last.append(key)
            maxes[-1] = key
            self._len += 1
            return True
        if key in self:
            return False
        record(step)
        self.add(key)
        return True

    def append_many(self, keys: list[Any]) -> bool:
        """Add ascending keys above the greatest, and return True; return False if that takes more than one step."""
        maxes = self._maxes
        if not maxes or keys[0] < maxes[-1] or self._index or len(last := self._lists[-1]) + len(keys) > 2 * self._load:
            return False
        last += keys
        maxes[-1] = keys[-1]
        self._len += len(keys)
        return True

    def first(self, number: int) -> list[Any]:
        """Return the ``number`` least keys."""
        least: list[Any] = self._lists[0]
        return least[:number] if number <= len(least) else self[:number]

    def drop_first(self, number: int) -> None:
        """Remove the ``number`` least keys, which must not be all. O(log n) for each."""
        lists = self._lists
        least = len(lists[0]) - number
        if (least > self._load // 2 or (least > 0 and len(lists) == 1)) and not self._index:
            del lists[0][:number]
            self._len -= number
        else:
            for _ in range(number):
                self._delete(0, 0)

    def mend(self) -> None:
        """Compute the derived attributes again. O(n / 1,000)."""
        self._lists[:] = [keys for keys in self._lists if keys]
        self._maxes[:] = [keys[-1] for keys in self._lists]
        self._len = sum(map(len, self._lists))
        self._index.clear()

    def _expand(self, pos: int) -> None:
        keys = self._lists[pos]
        if len(keys) <= 2 * self._load:
            super()._expand(pos)
        else:
            self._replace(pos, pos + 1, [keys[: self._load], keys[self._load :]])

    def _delete(self, pos: int, idx: int) -> None:
        lists = self._lists
        if len(lists) == 1 or len(lists[pos]) > self._load // 2 + 1:
            super()._delete(pos, idx)
            return
        rest = lists[pos][:idx] + lists[pos][idx + 1 :]
        first, merged = (pos - 1, lists[pos - 1] + rest) if pos else (0, rest + lists[1])
        half = len(merged) // 2
        is_long = len(merged) > 2 * self._load
        self._replace(first, first + 2, [merged[:half], merged[half:]] if is_long else [merged])
        self._len -= 1

    def _replace(self, start: int, stop: int, lists: list[list[Any]]) -> None:
        """Replace some of the lists by lists that are not empty."""
        self._lists[start:stop] = lists
        self._maxes[start:stop] = [keys[-1] for keys in lists]
        self._index.clear()
