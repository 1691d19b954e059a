"""The heartbeats of all streams, and their ends, on one timer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from itertools import cycle, islice

from feedstore.live.event import new_retry_hint
from feedstore.live.subscriber import Subscriber

_TICK_SECONDS = 0.5
# The time that an ended stream has to write its waiting packets before its connection is cut.
_FAREWELL_SECONDS = 3.0
_ASKED_AT_A_TICK = 8


class Heartbeat:
    """Sends each stream a comment every ``seconds``, spread evenly, and ends it after ``longest_seconds``.

    ``cut`` is called with each client that reads nothing of a write for ``write_seconds``, or not everything within 3
    seconds after its stream was ended. A timer for each stream, or one burst for all, would cost more and delay the
    events.
    """

    def __init__(
        self, seconds: float, longest_seconds: float, write_seconds: float, cut: Callable[[Subscriber], None]
    ) -> None:
        self._slots: list[dict[Subscriber, None]] = [{} for _ in range(max(1, round(seconds / _TICK_SECONDS)))]
        self._next_slot = cycle(range(len(self._slots)))
        self._longest_ticks = longest_seconds / _TICK_SECONDS
        self._write_seconds = write_seconds
        self._cut = cut
        self._places: dict[Subscriber, tuple[int, int]] = {}
        self._ending: dict[Subscriber, float] = {}
        self._ticks = 0
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._places)

    def add(self, subscriber: Subscriber) -> None:
        """Start a stream's heartbeats, in the slot after that of the previous stream."""
        # Not the slot len(self): if each new stream replaces one that ended, that is always the same slot.
        slot = next(self._next_slot)
        self._slots[slot][subscriber] = None
        self._places[subscriber] = (slot, self._ticks)

    def discard(self, subscriber: Subscriber) -> None:
        """End a stream's heartbeats. A second call does nothing."""
        slot, _ = self._places.pop(subscriber, (0, 0))
        self._slots[slot].pop(subscriber, None)
        self._ending.pop(subscriber, None)

    def end(self, subscriber: Subscriber, farewell: bytes) -> None:
        """End a stream with some last bytes, after its waiting packets."""
        subscriber.end(farewell)
        if subscriber in self._places:
            self._ending.setdefault(subscriber, time.monotonic() + _FAREWELL_SECONDS)

    def end_all(self) -> None:
        """End every stream, each with a retry hint."""
        for subscriber in list(self._places):
            self.end(subscriber, new_retry_hint())

    def is_asked_to_end(self) -> bool:
        """Return whether the server asks its connections to end. It asks all of them, so a few are checked."""
        some = islice(self._places, _ASKED_AT_A_TICK)
        return any(one.connection is not None and one.connection.is_asked_to_end() for one in some)

    def start(self, loop: asyncio.AbstractEventLoop, is_over: Callable[[], bool]) -> None:
        """Start the timer; it stops at the first tick without streams at which ``is_over()`` is true."""
        self._timer = loop.call_later(_TICK_SECONDS, self._tick, loop, is_over)

    def _tick(self, loop: asyncio.AbstractEventLoop, is_over: Callable[[], bool]) -> None:
        self._ticks += 1
        for subscriber in list(self._slots[self._ticks % len(self._slots)]):
            self._attend(subscriber)
        for subscriber in [one for one, until in self._ending.items() if time.monotonic() > until]:
            self._cut(subscriber)
        if not is_over() or self._places:
            self.start(loop, is_over)

    def _attend(self, subscriber: Subscriber) -> None:
        if subscriber.is_stuck(self._write_seconds):
            self._cut(subscriber)
        elif self._ticks - self._places[subscriber][1] > self._longest_ticks:
            self.end(subscriber, new_retry_hint())
        else:
            subscriber.beat()
