"""One timeline that somebody watches live: who does, and what they know of it."""

from __future__ import annotations

from feedstore.live.event import Packet
from feedstore.live.reader import Look, Seen
from feedstore.live.subscriber import Subscriber
from feedstore.live.window import Window


class LiveTimeline:
    """The clients of a timeline. At most one look at it is under way, so that none overtakes another.

    Belongs to the event loop.
    """

    def __init__(self, key: str) -> None:
        self.key = key
        self.is_busy = False
        self.is_alone = False
        self.is_settling = False
        self.failures = 0
        self._window: Window | None = None
        self._is_marked = False
        self._is_deep = False
        self._live: dict[Subscriber, None] = {}
        self._behind: dict[Subscriber, None] = {}
        self._joining: dict[Subscriber, None] = {}
        self._asked: dict[Subscriber, int] = {}

    @property
    def is_empty(self) -> bool:
        """Whether nobody watches."""
        return not (self._live or self._behind or self._joining or self._asked)

    def subscribers(self) -> list[Subscriber]:
        """Return all who watch."""
        return [*self._live, *self._behind, *self._joining, *self._asked]

    @property
    def is_marked(self) -> bool:
        """Whether it is to be looked at."""
        return bool(self._joining) or (self._is_marked and bool(self._live))

    def mark(self, is_deep: bool = False) -> None:
        """Note that it may have changed."""
        self._is_marked = True
        self._is_deep |= is_deep

    def join(self, subscriber: Subscriber) -> None:
        """Let somebody become live, with the next look."""
        self._behind.pop(subscriber, None)
        self._joining[subscriber] = None

    def leave(self, subscriber: Subscriber) -> None:
        """Forget somebody."""
        for group in (self._live, self._behind, self._joining):
            group.pop(subscriber, None)
        self._asked.pop(subscriber, None)

    def look(self) -> Look:
        """Begin a look."""
        self.is_busy = True
        joining, self._joining = list(self._joining), {}
        self._asked = {subscriber: number for number, subscriber in enumerate(joining)}
        is_deep, self._is_deep, self._is_marked = self._is_deep, False, False
        window = self._window if self._live else None
        return Look(self.key, window, is_deep, tuple(subscriber.position for subscriber in joining))

    def take(self, seen: Seen) -> None:
        """End a look, and hand out what was seen."""
        self.is_busy = self.is_alone = False
        self.failures = 0
        self._window = seen.window
        for packet in seen.news:
            self._send(packet)
        for subscriber, number in self._asked.items():
            subscriber.answer(seen.answers[number])
            self._live[subscriber] = None
        self._asked = {}

    def give_up(self, alone: bool) -> None:
        """End a look that failed; all of it is to be done again, ``alone`` if another timeline may be the cause."""
        self.is_busy = False
        self.is_alone = alone
        self.failures += 1
        self._joining = {**dict.fromkeys(self._asked), **self._joining}
        self._asked = {}
        self.mark(is_deep=True)

    def _send(self, packet: Packet) -> None:
        too_slow = [subscriber for subscriber in self._live if not subscriber.push(packet)]
        for subscriber in too_slow:
            del self._live[subscriber]
            self._behind[subscriber] = None
