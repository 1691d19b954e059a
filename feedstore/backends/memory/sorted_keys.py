"""Sorted keys whose every change is one step of the interpreter."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable
from itertools import accumulate, chain
from operator import itemgetter
from typing import Any

_LONGEST = 2000
_FILLED = _LONGEST // 2
_last = itemgetter(-1)


class SortedKeys:
    """Distinct keys in ascending order, in chunks of at most 2,000.

    A signal handler may raise between any two steps of the interpreter. Every step here leaves keys that are whole: the
    chunks are the only truth, none is empty, and each change of them is one call in C or one assignment. With n keys a
    change costs O(log n + chunk), and the first look at positions after it O(n / chunk).
    """

    __slots__ = ("_chunks", "_ends")

    def __init__(self) -> None:
        self._chunks: list[list[Any]] = []
        self._ends: list[int] | None = None

    def __len__(self) -> int:
        chunks = self._chunks
        if len(chunks) == 1:
            return len(chunks[0])
        return self._positions()[-1] if chunks else 0

    def __bool__(self) -> bool:
        return bool(self._chunks)

    def __contains__(self, key: Any) -> bool:
        chunks = self._chunks
        place = bisect_left(chunks, key, key=_last)
        if place == len(chunks):
            return False
        chunk = chunks[place]
        return bool(chunk[bisect_left(chunk, key)] == key)

    def add(self, key: Any) -> None:
        """Add a key; one that is there is no error."""
        chunks = self._chunks
        self._ends = None
        if not chunks:
            chunks.append([key])
            return
        place = bisect_left(chunks, key, key=_last)
        if place == len(chunks):
            place -= 1
            chunks[place].append(key)
        elif chunks[place][bisect_left(chunks[place], key)] == key:
            return
        else:
            insort(chunks[place], key)
        chunk = chunks[place]
        if len(chunk) > _LONGEST:
            chunks[place : place + 1] = [chunk[:_FILLED], chunk[_FILLED:]]

    def update(self, keys: list[Any]) -> None:
        """Add distinct keys, none of which is there."""
        if len(keys) == 1 or len(keys) * 8 < len(self):
            for key in keys:
                self.add(key)
            return
        merged = sorted(chain(chain.from_iterable(self._chunks), keys))
        self._ends = None
        self._chunks = [merged[start : start + _FILLED] for start in range(0, len(merged), _FILLED)]

    def add_missing(self, keys: Iterable[Any]) -> None:
        """Add those of the keys that are not there."""
        self.update([key for key in keys if key not in self])

    def discard(self, key: Any) -> None:
        """Remove a key; one that is not there is no error."""
        chunks = self._chunks
        place = bisect_left(chunks, key, key=_last)
        if place == len(chunks):
            return
        chunk = chunks[place]
        index = bisect_left(chunk, key)
        if chunk[index] != key:
            return
        self._ends = None
        if len(chunk) > 1:
            del chunk[index]
        else:
            del chunks[place]

    def discard_all(self, keys: Iterable[Any]) -> None:
        """Remove those of the keys that are there."""
        for key in keys:
            self.discard(key)

    def drop_first(self, number: int) -> None:
        """Remove the least keys, so many of those that are there."""
        if number <= 0:
            return
        ends = self._positions()
        whole = bisect_right(ends, number)
        rest = number - (ends[whole - 1] if whole else 0)
        self._ends = None
        if whole:
            del self._chunks[:whole]
        if rest and self._chunks:
            del self._chunks[0][:rest]

    def bisect_left(self, key: Any) -> int:
        """Return how many keys are less than ``key``."""
        return self._position(key, bisect_left)

    def bisect_right(self, key: Any) -> int:
        """Return how many keys are not greater than ``key``."""
        return self._position(key, bisect_right)

    def slice(self, start: int, stop: int) -> list[Any]:
        """Return the keys at the positions from ``start`` to before ``stop``."""
        chunks = self._chunks
        if len(chunks) == 1:
            return chunks[0][start:stop]
        ends, found = self._positions(), []
        place = bisect_right(ends, start)
        while place < len(chunks) and (begin := ends[place] - len(chunks[place])) < stop:
            found += chunks[place][max(0, start - begin) : stop - begin]
            place += 1
        return found

    def _position(self, key: Any, bisect: Any) -> int:
        chunks = self._chunks
        place = bisect_left(chunks, key, key=_last)
        if place == len(chunks):
            return len(self)
        before = self._positions()[place - 1] if place else 0
        position: int = before + bisect(chunks[place], key)
        return position

    def _positions(self) -> list[int]:
        """Return for each chunk the position behind its last key."""
        ends = self._ends
        if ends is None:
            ends = self._ends = list(accumulate(map(len, self._chunks)))
        return ends
