"""How many entries this process has delivered to timelines since it last trimmed each."""

from __future__ import annotations

import random
import threading
from collections import OrderedDict
from collections.abc import Iterable

# To trim a timeline to n, n + 1 ids of it are read. Trimmed each time, fan-outs of one activity to timelines of 100
# keep 0.03 of the speed of no trimming at all; each 2 n times, up to 512, they keep 0.75, and to timelines of 800 0.67.
_LEAST = 16
_MOST = 512
FAN_OUT_EXCESS = 2 * _MOST
"""The most entries beyond its length that a timeline may hold because of one writer process: what one round of counting
lets stay, twice, because another thread may deliver while a trim is under way."""

# Fan-outs to more than these, always in the same order, would meet each for the first time again.
_MOST_TIMELINES = 262_144


class Excess:
    """Counts deliveries to timelines. One that is new here, or whose length was lowered, is trimmed at once."""

    def __init__(self) -> None:
        self._counts: OrderedDict[tuple[str, str], list[int]] = OrderedDict()
        self._lock = threading.Lock()

    def limit(self, length: int) -> int:
        """Return how many entries may stay beyond a length."""
        return min(_MOST, max(_LEAST, 2 * length))

    def deliver(self, namespace: str, keys: Iterable[str], amount: int, length: int) -> list[str]:
        """Count a delivery, and return the timelines that must be trimmed after it."""
        limit = self.limit(length)
        due = []
        with self._lock:
            for key in keys:
                state = self._counts.get((namespace, key))
                if state is not None and state[0] + amount < limit and length >= state[1]:
                    state[0] += amount
                    continue
                due.append(key)
                # A first count at random keeps timelines that are delivered to together from being trimmed together.
                self._counts[namespace, key] = [0 if state else random.randrange(limit), length]
            while len(self._counts) > _MOST_TIMELINES:
                self._counts.popitem(last=False)
        return due

    def add(self, namespace: str, keys: Iterable[str], amount: int) -> None:
        """Count entries that came without a length, where it matters to a later delivery."""
        with self._lock:
            for key in keys:
                state = self._counts.get((namespace, key))
                if state is not None:
                    state[0] += amount

    def forget(self, namespace: str, keys: Iterable[str]) -> None:
        """Know nothing of timelines any more, because a trim failed: the next delivery trims."""
        with self._lock:
            for key in keys:
                self._counts.pop((namespace, key), None)
