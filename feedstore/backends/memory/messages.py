"""The messages of one queue in memory."""

from __future__ import annotations

import heapq
import time
from collections.abc import Iterable
from itertools import islice
from typing import TypeVar

from feedstore.backends.memory.journal import Journal

# The number of removed messages that may stay in the heaps.
_SLACK = 64
_Value = TypeVar("_Value", int, tuple[float, int, int])


class Messages:
    """The messages of one queue: their bytes by number, a heap of ready ones, and a heap of delivered ones."""

    __slots__ = ("bodies", "deliveries", "due", "ready")

    def __init__(self) -> None:
        self.bodies: dict[int, bytes] = {}
        self.deliveries: dict[int, int] = {}
        self.ready: list[int] = []
        self.due: list[tuple[float, int, int]] = []

    def add(self, journal: Journal, number: int, body: bytes) -> None:
        """Add a message at the end. Its number is greater than all earlier ones. O(1)."""
        journal.record((self._forget, number))
        self.bodies[number] = body
        heapq.heappush(self.ready, number)

    def _forget(self, number: int) -> None:
        self.bodies.pop(number, None)

    def drop_oldest(self, journal: Journal, surplus: int) -> None:
        """Drop the ``surplus`` oldest messages."""
        # Numbers only grow, and a dictionary keeps the order of insertion.
        for number in list(islice(self.bodies, max(0, surplus))):
            self.remove(journal, number)

    def remove(self, journal: Journal, number: int) -> None:
        """Remove a message. Amortized O(1).

        A heap drops the message when it reaches it, or when half of its messages were removed.
        """
        journal.record((self._put_back, number, self.bodies[number]))
        self.bodies.pop(number, None)
        journal.remove_item(self.deliveries, number)
        if len(self.ready) + len(self.due) > 2 * len(self.bodies) + _SLACK:
            self._forget_removed(journal)

    def _put_back(self, number: int, body: bytes) -> None:
        self.bodies = dict(sorted({**self.bodies, number: body}.items()))

    def _forget_removed(self, journal: Journal) -> None:
        journal.replace(self, "ready", _heap(number for number in self.ready if number in self.bodies))
        journal.replace(self, "due", _heap(held for held in self.due if self.deliveries.get(held[1]) == held[2]))

    def take(self, journal: Journal, visibility_timeout: float) -> tuple[str, bytes] | None:
        """Deliver the oldest ready message: return its receipt and its bytes, or None. O(log n)."""
        now = time.monotonic()
        self._take_back(journal, now)
        while self.ready:
            number = self.ready[0]
            if number not in self.bodies:
                heapq.heappop(self.ready)
                continue
            delivery = self.deliveries.get(number, 0) + 1
            held = (now + visibility_timeout, number, delivery)
            journal.set_item(self.deliveries, number, delivery)
            journal.record((self._move_to_ready, held))
            heapq.heappop(self.ready)
            heapq.heappush(self.due, held)
            return f"{number}-{delivery}", self.bodies[number]
        return None

    def _take_back(self, journal: Journal, now: float) -> None:
        while self.due and self.due[0][0] <= now:
            held = self.due[0]
            if self.deliveries.get(held[1]) == held[2]:
                journal.record((self._move_to_due, held))
                heapq.heappush(self.ready, held[1])
            heapq.heappop(self.due)

    def _move_to_ready(self, held: tuple[float, int, int]) -> None:
        self.due = _heap(other for other in self.due if other != held)
        self.ready = _heap({*self.ready, held[1]})

    def _move_to_due(self, held: tuple[float, int, int]) -> None:
        self.ready = _heap(number for number in self.ready if number != held[1])
        self.due = _heap({*self.due, held})

    def seconds_to_next(self) -> float | None:
        """Return the seconds until the first delivered message becomes ready again, or None."""
        return max(0.0, self.due[0][0] - time.monotonic()) if self.due else None


def _heap(values: Iterable[_Value]) -> list[_Value]:
    heap = list(values)
    heapq.heapify(heap)
    return heap
