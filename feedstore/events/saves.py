"""The record of saves: their numbers, and the payloads that name the saved events."""

from __future__ import annotations

import itertools
import os
import secrets
import time
from collections.abc import Callable

from feedstore.events.layout import CHUNK, LOWEST, TIME_SHIFT, IndexEntry
from feedstore.ids import ID_BYTES, MAX_ID

_NANOSECONDS_BETWEEN_READS = 10**9
_LATEST_CLOCK: int = 2**63
"""The latest time that a clock contributes, in the year 2262. It leaves numbers for all later saves."""
_LATEST_NUMBER: int = MAX_ID >> TIME_SHIFT


class SaveNumbers:
    """The numbers of saves, counted from a random number of each process.

    Two processes return the same number only if their random numbers of 63 bits lie next to each other.
    """

    def __init__(self) -> None:
        self._process = -1
        self._numbers = itertools.count()

    def take(self, count: int) -> list[int]:
        """Return numbers that no other call returns."""
        if self._process != os.getpid():
            self._numbers = itertools.count(secrets.randbits(TIME_SHIFT - 1))
            self._process = os.getpid()
        return [number & LOWEST for number in itertools.islice(self._numbers, count)]


class SaveClock:
    """The clock of the record of saves, in nanoseconds.

    It shows the time of this process's clock, or a later one if the newest save of any process is later: then it runs
    on from that. So a clock that is ahead moves the clocks of all processes, and one that is late is moved, and the
    saves stay in the order in which they were made. The newest save is read at most once a second.

    Args:
        read_newest: A function that returns the id of the newest record, 0 if there is none.
    """

    def __init__(self, read_newest: Callable[[], int]) -> None:
        self._read_newest = read_newest
        self._last_read: int | None = None
        # A time that was shown, and the reading of the monotonic clock at that moment.
        self._shown = (0, 0)

    def now(self) -> int:
        """Return a time that is later than those of the saves that were stored a second ago. One round trip at most."""
        moment = time.monotonic_ns()
        shown, since = self._shown
        now = shown + moment - since
        if self._last_read is None or moment - self._last_read >= _NANOSECONDS_BETWEEN_READS:
            now = max(now, self._read_newest() >> TIME_SHIFT)
            self._last_read = moment
        now = min(max(now + 1, min(time.time_ns(), _LATEST_CLOCK)), _LATEST_NUMBER)
        self._shown = now, moment
        return now


def save_records(now: int, entries: list[int]) -> list[IndexEntry]:
    """Return the records of one save, each of up to :data:`CHUNK` events.

    Their ids consist of the time of the save by :class:`SaveClock` and random bits, and their payloads of the entries
    of the events.
    """
    return [
        IndexEntry(
            now << TIME_SHIFT | secrets.randbits(TIME_SHIFT),
            b"".join([entry.to_bytes(ID_BYTES, "big") for entry in entries[start : start + CHUNK]]),
        )
        for start in range(0, len(entries), CHUNK)
    ]


def saved_entries(save: IndexEntry) -> list[int]:
    """Return the entries of the events of one record."""
    payload = save.payload
    return [int.from_bytes(payload[at : at + ID_BYTES], "big") for at in range(0, len(payload), ID_BYTES)]
