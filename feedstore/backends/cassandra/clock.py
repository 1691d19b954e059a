"""The clock of writes: timestamps of the client in microseconds, strictly increasing in a process."""

from __future__ import annotations

import os
import threading
import time
from functools import cache

_MILLISECOND, _SECOND = 1_000, 1_000_000
_LONGEST_WAIT = 100_000


class Clock:
    """A clock that returns each timestamp once: the time, or the last timestamp plus one if that is later.

    Cassandra keeps the write with the highest timestamp. If a deletion has the same timestamp as another write, the
    deletion wins: an entry that is added again at the timestamp of an earlier trim would stay invisible.
    """

    def __init__(self) -> None:
        self._last = 0
        # One lock for each process: a thread of the parent may have held the parent's lock at the fork.
        self._locks: dict[int, threading.Lock] = {}

    def next(self) -> int:
        """Return a timestamp above all earlier ones of this process."""
        process = os.getpid()
        lock = self._locks.get(process) or self._locks.setdefault(process, threading.Lock())
        now = time.time_ns() // 1000
        with lock:
            self._last = max(now, self._last + 1)
            return self._last

    def wait_for_next_millisecond(self) -> None:
        """Wait until a millisecond begins that is later than every earlier timestamp of this process.

        Servers date a lightweight transaction by their own clocks, in whole milliseconds. In the millisecond of an
        earlier write, the transaction would count as older than that write: it would be applied, but invisible. The
        wait takes at most a tenth of a second, also if the time was set back.
        """
        now = time.time_ns() // 1000
        end = min((self.next() // _MILLISECOND + 1) * _MILLISECOND, now + _LONGEST_WAIT)
        while (missing := end - time.time_ns() // 1000) > 0:
            time.sleep(missing / _SECOND)


@cache
def process_clock() -> Clock:
    """Return the clock that all backends of a process share, so that the writes of different backends are in order."""
    return Clock()
