"""Waiting for the answer to a request."""

from __future__ import annotations

from queue import SimpleQueue
from typing import Any


class Answer:
    """The answer to a request that was sent, which one thread waits for.

    The driver's own way waits for a condition. A signal handler that raises while it is released leaves it locked, and
    the driver's event loop, which all answers come through, would wait for it without end. Here nothing is locked.
    """

    __slots__ = ("_arrived", "future")

    def __init__(self, future: Any) -> None:
        self.future = future
        self._arrived: SimpleQueue[object] = SimpleQueue()
        future.add_callbacks(self._arrived.put, self._arrived.put)

    def result(self) -> Any:
        """Wait for the answer and return it, or raise what went wrong. It ends when the request's time is up."""
        self._arrived.get()
        # A second call finds the answer there.
        self._arrived.put(None)
        return self.future.result()
