"""Timestamps of writes: the client's, in microseconds, and strictly increasing in a process."""

from __future__ import annotations

import threading
import time
from functools import cache

from feedstore.forks import follow_forks


class Clock:
    """Gives each write a timestamp of its own: the time, or one more than the last where the time has not moved on.

    Cassandra keeps the write with the highest timestamp. Of two with the same one a deletion wins, so an entry that is
    added again at the timestamp of the trim before it would stay invisible.
    """

    def __init__(self) -> None:
        self._last = 0
        self._lock = threading.Lock()
        follow_forks(self, Clock._acquire, Clock._release, Clock._release)

    def next(self) -> int:
        """Return a timestamp above all that this process has given out."""
        now = time.time_ns() // 1000
        with self._lock:
            self._last = max(now, self._last + 1)
            return self._last

    def _acquire(self) -> None:
        self._lock.acquire()

    def _release(self) -> None:
        self._lock.release()


@cache
def process_clock() -> Clock:
    """Return the clock that all backends of a process share: a trim by one and an add by another are in order, too."""
    return Clock()
