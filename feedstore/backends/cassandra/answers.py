"""The answer to a request that was sent."""

from __future__ import annotations

from queue import SimpleQueue
from typing import Any


class Answer:
    """The answer to a request that was sent. One thread waits for it.

    The driver's own ``result()`` waits for a condition variable. If a signal handler raises while that thread releases
    the condition, its lock stays taken, and the driver's event loop waits for the lock for ever. A queue has no such
    lock.
    """

    __slots__ = ("_arrived", "future")

    def __init__(self, future: Any) -> None:
        self.future = future
        self._arrived: SimpleQueue[object] = SimpleQueue()
        future.add_callbacks(self._arrived.put, self._arrived.put)

    def result(self) -> Any:
        """Wait for the answer and return it, or raise its error. The wait ends with the timeout of the request."""
        self._arrived.get()
        # A second call must not wait.
        self._arrived.put(None)
        return self.future.result()
