"""The messages of one queue in memory."""

from __future__ import annotations

import heapq
import time
from itertools import islice

# So many messages that are gone may stay in the heaps.
_SLACK = 64


class Messages:
    """The messages of one queue: their bytes by number, which of them wait, and which are with whom until when."""

    __slots__ = ("bodies", "deliveries", "due", "ready")

    def __init__(self) -> None:
        self.bodies: dict[int, bytes] = {}
        self.deliveries: dict[int, int] = {}
        self.ready: list[int] = []
        self.due: list[tuple[float, int, int]] = []

    def add(self, number: int, body: bytes) -> None:
        """Add one at the end: its number is greater than all before. O(1)."""
        self.bodies[number] = body
        heapq.heappush(self.ready, number)

    def drop_oldest(self, surplus: int) -> None:
        """Drop so many from the beginning."""
        # Numbers only grow, and a dictionary keeps the order in which they came.
        for number in list(islice(self.bodies, max(0, surplus))):
            self.remove(number)

    def remove(self, number: int) -> None:
        """Remove one. The heaps forget it when they come to it, or once they hold as many that are gone as that are
        there: amortized O(1).
        """
        del self.bodies[number]
        self.deliveries.pop(number, None)
        if len(self.ready) + len(self.due) > 2 * len(self.bodies) + _SLACK:
            self._forget_removed()

    def _forget_removed(self) -> None:
        self.ready = [number for number in self.ready if number in self.bodies]
        self.due = [held for held in self.due if self.deliveries.get(held[1]) == held[2]]
        heapq.heapify(self.ready)
        heapq.heapify(self.due)

    def take(self, visibility_timeout: float) -> tuple[str, bytes] | None:
        """Give the oldest that waits, with a receipt. O(log n)."""
        now = time.monotonic()
        self._take_back(now)
        while self.ready:
            number = heapq.heappop(self.ready)
            if number in self.bodies:
                delivery = self.deliveries[number] = self.deliveries.get(number, 0) + 1
                heapq.heappush(self.due, (now + visibility_timeout, number, delivery))
                return f"{number}-{delivery}", self.bodies[number]
        return None

    def _take_back(self, now: float) -> None:
        while self.due and self.due[0][0] <= now:
            _, number, delivery = heapq.heappop(self.due)
            if self.deliveries.get(number) == delivery:
                heapq.heappush(self.ready, number)

    def seconds_to_next(self) -> float | None:
        """Return after how many seconds the first falls due that somebody has."""
        return max(0.0, self.due[0][0] - time.monotonic()) if self.due else None
