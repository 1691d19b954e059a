"""Timestamps of writes: the client's, in microseconds, and strictly increasing in a process."""

from __future__ import annotations

import os
import threading
import time
from functools import cache

_MILLISECOND, _SECOND = 1_000, 1_000_000
_LONGEST_WAIT = 100_000


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

    def wait_for_next_millisecond(self) -> None:
        """Return in a later millisecond than every timestamp that was given out before.

        Servers date a lightweight transaction by their own clocks, in whole milliseconds. In the millisecond of an
        earlier write it would count as the older of the two, and be applied without being visible. Waits for a tenth of
        a second at most, also if the time was set back.
        """
        now = time.time_ns() // 1000
        end = min((self.next() // _MILLISECOND + 1) * _MILLISECOND, now + _LONGEST_WAIT)
        while (missing := end - time.time_ns() // 1000) > 0:
            time.sleep(missing / _SECOND)


@cache
def process_clock() -> Clock:
    """Return the clock that all backends of a process share: a trim by one and an add by another are in order, too."""
    return Clock()
