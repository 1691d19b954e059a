"""The excess of timelines: the number of entries that this process has delivered to each since its last trim."""

from __future__ import annotations

import random
import threading
from collections import OrderedDict
from collections.abc import Iterable

# A trim to n entries reads n + 1 ids. Measured on fan-outs of one activity, against the rate without trims: a trim in
# each fan-out to timelines of 100 keeps 0.03 of the rate; a trim after every 2 n entries, at most 512, keeps 0.75, and
# with timelines of 800 0.67.
_LEAST = 16
_MOST = 512
FAN_OUT_EXCESS = 2 * _MOST
"""The most entries beyond its length that a timeline may hold because of one writer process.

It is twice the limit of the count, because another thread may deliver while a trim runs."""

# With more timelines than this, fan-outs in the same order would find none of their counts.
_MOST_TIMELINES = 262_144


class Excess:
    """Counts of deliveries to timelines. The first delivery to a timeline trims it, and so does a lower length."""

    def __init__(self) -> None:
        self._counts: OrderedDict[tuple[str, str], list[int]] = OrderedDict()
        self._lock = threading.Lock()

    def limit(self, length: int) -> int:
        """Return the number of entries that may stay beyond a length."""
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
                # Random first counts spread the trims of timelines that get the same deliveries.
                self._counts[namespace, key] = [0 if state else random.randrange(limit), length]
            while len(self._counts) > _MOST_TIMELINES:
                self._counts.popitem(last=False)
        return due

    def add(self, namespace: str, keys: Iterable[str], amount: int) -> None:
        """Count entries that were added without a length to timelines that have a count."""
        with self._lock:
            for key in keys:
                state = self._counts.get((namespace, key))
                if state is not None:
                    state[0] += amount

    def forget(self, namespace: str, keys: Iterable[str]) -> None:
        """Forget the counts of timelines whose trim failed. The next delivery trims them."""
        with self._lock:
            for key in keys:
                self._counts.pop((namespace, key), None)
