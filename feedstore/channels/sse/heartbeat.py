"""The heartbeats of all streams, from one timer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import cycle

from feedstore.channels.sse.event import new_retry_hint
from feedstore.channels.sse.subscriber import Subscriber

_TICK_SECONDS = 0.5


class Heartbeat:
    """Sends each stream a comment every ``seconds``, spread evenly, and ends it after ``longest_seconds``.

    A timer for each stream, or a burst for all, would cost more and hold up the news.
    """

    def __init__(self, seconds: float, longest_seconds: float) -> None:
        self._slots: list[dict[Subscriber, None]] = [{} for _ in range(max(1, round(seconds / _TICK_SECONDS)))]
        self._next_slot = cycle(range(len(self._slots)))
        self._longest_ticks = longest_seconds / _TICK_SECONDS
        self._places: dict[Subscriber, tuple[int, int]] = {}
        self._ticks = 0
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._places)

    def subscribers(self) -> list[Subscriber]:
        """Return all who have a stream."""
        return list(self._places)

    def add(self, subscriber: Subscriber) -> None:
        """Begin a stream's heartbeats, in the slot behind that of the stream that began before it."""
        # Not by how many there are: where each that goes makes room for one that comes, that is always the same slot.
        slot = next(self._next_slot)
        self._slots[slot][subscriber] = None
        self._places[subscriber] = (slot, self._ticks)

    def discard(self, subscriber: Subscriber) -> None:
        """End a stream's heartbeats. Ending them twice is no error."""
        slot, _ = self._places.pop(subscriber, (0, 0))
        self._slots[slot].pop(subscriber, None)

    def start(self, loop: asyncio.AbstractEventLoop, is_leaving: Callable[[], bool]) -> None:
        """Begin to tick; ``is_leaving`` is asked at each tick, and ends it."""
        self._timer = loop.call_later(_TICK_SECONDS, self._tick, loop, is_leaving)

    def stop(self) -> None:
        """Tick no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _tick(self, loop: asyncio.AbstractEventLoop, is_leaving: Callable[[], bool]) -> None:
        if is_leaving():
            return
        self._ticks += 1
        for subscriber in self._slots[self._ticks % len(self._slots)]:
            if self._ticks - self._places[subscriber][1] > self._longest_ticks:
                subscriber.end(new_retry_hint())
            else:
                subscriber.beat()
        self.start(loop, is_leaving)
