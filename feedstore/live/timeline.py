"""A timeline with live streams: its subscribers, and the window that they know."""

from __future__ import annotations

from feedstore.live.event import Packet
from feedstore.live.reader import Poll, PollResult
from feedstore.live.subscriber import Subscriber
from feedstore.live.window import Window


class LiveTimeline:
    """The subscribers of a timeline. At most one poll of it runs at a time, so results arrive in order.

    Belongs to the event loop.
    """

    def __init__(self, key: str) -> None:
        self.key = key
        self.is_busy = False
        self.is_polled_alone = False
        self.is_settling = False
        self.failures = 0
        self._window: Window | None = None
        self._is_marked = False
        self._is_deep = False
        self._live: dict[Subscriber, None] = {}
        self._lagging: dict[Subscriber, None] = {}
        self._joining: dict[Subscriber, None] = {}
        self._answering: dict[Subscriber, int] = {}

    @property
    def is_empty(self) -> bool:
        """Whether the timeline has no subscribers."""
        return not (self._live or self._lagging or self._joining or self._answering)

    def subscribers(self) -> list[Subscriber]:
        """Return all subscribers."""
        return [*self._live, *self._lagging, *self._joining, *self._answering]

    @property
    def is_marked(self) -> bool:
        """Whether a poll of the timeline is due."""
        return bool(self._joining) or (self._is_marked and bool(self._live))

    def mark(self, is_deep: bool = False) -> None:
        """Note that the timeline may have changed."""
        self._is_marked = True
        self._is_deep |= is_deep

    def join(self, subscriber: Subscriber) -> None:
        """Add a subscriber, which becomes live with the next poll."""
        self._lagging.pop(subscriber, None)
        self._joining[subscriber] = None

    def leave(self, subscriber: Subscriber) -> None:
        """Remove a subscriber."""
        for group in (self._live, self._lagging, self._joining):
            group.pop(subscriber, None)
        self._answering.pop(subscriber, None)

    def begin_poll(self) -> Poll:
        """Start a poll, and return its request."""
        self.is_busy = True
        joining, self._joining = list(self._joining), {}
        self._answering = {subscriber: number for number, subscriber in enumerate(joining)}
        is_deep, self._is_deep, self._is_marked = self._is_deep, False, False
        window = self._window if self._live else None
        return Poll(self.key, window, is_deep, tuple(subscriber.position for subscriber in joining))

    def finish_poll(self, result: PollResult) -> None:
        """End a poll, and send its result to the subscribers."""
        self.is_busy = self.is_polled_alone = False
        self.failures = 0
        self._window = result.window
        for packet in result.news:
            self._send(packet)
        for subscriber, number in self._answering.items():
            subscriber.answer(result.answers[number])
            self._live[subscriber] = None
        self._answering = {}

    def fail_poll(self, alone: bool) -> None:
        """End a poll that failed, and mark it for repetition: ``alone`` if another timeline may be the cause."""
        self.is_busy = False
        self.is_polled_alone = alone
        self.failures += 1
        self._joining = {**dict.fromkeys(self._answering), **self._joining}
        self._answering = {}
        self.mark(is_deep=True)

    def _send(self, packet: Packet) -> None:
        too_slow = [subscriber for subscriber in self._live if not subscriber.push(packet)]
        for subscriber in too_slow:
            del self._live[subscriber]
            self._lagging[subscriber] = None
