"""The heartbeats of all streams, and their ends, from one timer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from itertools import cycle, islice

from feedstore.live.event import new_retry_hint
from feedstore.live.subscriber import Subscriber

_TICK_SECONDS = 0.5
# How long a stream that was ended may take to write what waits, before its connection is cut.
_FAREWELL_SECONDS = 3.0
_ASKED_AT_A_TICK = 8


class Heartbeat:
    """Sends each stream a comment every ``seconds``, spread evenly, and ends it after ``longest_seconds``.

    A client is cut if it takes nothing of a write for ``write_seconds``, or not all of it within 3 seconds after its
    stream was ended. ``cut`` is called with each. A timer for each stream, or a burst for all, would cost more and hold
    up the news.
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
        """Begin a stream's heartbeats, in the slot after that of the stream that began before it."""
        # Not by how many there are: where each that goes makes room for one that comes, that is always the same slot.
        slot = next(self._next_slot)
        self._slots[slot][subscriber] = None
        self._places[subscriber] = (slot, self._ticks)

    def discard(self, subscriber: Subscriber) -> None:
        """End a stream's heartbeats. Ending them twice is no error."""
        slot, _ = self._places.pop(subscriber, (0, 0))
        self._slots[slot].pop(subscriber, None)
        self._ending.pop(subscriber, None)

    def end(self, subscriber: Subscriber, farewell: bytes) -> None:
        """End a stream with some last bytes, after what waits already."""
        subscriber.end(farewell)
        if subscriber in self._places:
            self._ending.setdefault(subscriber, time.monotonic() + _FAREWELL_SECONDS)

    def end_all(self) -> None:
        """End every stream, each with a hint when to come back."""
        for subscriber in list(self._places):
            self.end(subscriber, new_retry_hint())

    def is_asked_to_end(self) -> bool:
        """Return whether the server asks for the end of its connections; it asks all, so a few are looked at."""
        some = islice(self._places, _ASKED_AT_A_TICK)
        return any(one.connection is not None and one.connection.is_asked_to_end() for one in some)

    def start(self, loop: asyncio.AbstractEventLoop, is_over: Callable[[], bool]) -> None:
        """Begin to tick; ``is_over`` is called at each tick, and no tick follows once it is true and no stream left."""
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
