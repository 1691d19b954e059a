"""Timestamps of writes: the client's, in microseconds, and strictly increasing in a process."""

from __future__ import annotations

import os
import threading
import time
from functools import cache


class Clock:
    """Gives each write a timestamp of its own: the time, or one more than the last where the time has not moved on.

    Cassandra keeps the write with the highest timestamp. Of two with the same one a deletion wins, so an entry that is
    added again at the timestamp of the trim before it would stay invisible.
    """

    def __init__(self) -> None:
        self._last = 0
        # One for each process: that of the process above may be held by a thread that the fork has left behind.
        self._locks: dict[int, threading.Lock] = {}

    def next(self) -> int:
        """Return a timestamp above all that this process has given out."""
        process = os.getpid()
        lock = self._locks.get(process) or self._locks.setdefault(process, threading.Lock())
        now = time.time_ns() // 1000
        with lock:
            self._last = max(now, self._last + 1)
            return self._last


@cache
def process_clock() -> Clock:
    """Return the clock that all backends of a process share: a trim by one and an add by another are in order, too."""
    return Clock()
