"""A client of live timelines in this process, which keeps a copy of a timeline."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from feedstore.ids import parse_id
from feedstore.live import LiveTimelines
from feedstore.live.subscriber import Subscriber
from feedstore.storage import TimelineStorage
from live.events import Event, EventParser


class Client:
    """A subscriber to one timeline. It applies events to its copy, and reads the timeline again after a gap."""

    def __init__(self, live: LiveTimelines, timelines: TimelineStorage, key: str) -> None:
        self._live = live
        self._timelines = timelines
        self._key = key
        self._subscriber: Subscriber | None = None
        self._parser = EventParser()
        self.known: set[int] = set()
        self.events: list[Event] = []
        self.told_twice: list[int] = []

    @property
    def gaps(self) -> list[str]:
        """The reasons of the received gaps."""
        return [event.value["reason"] for event in self.events if event.name == "gap"]

    @property
    def told(self) -> list[int]:
        """The received entries, in order."""
        return [parse_id(event.value["id"]) for event in self.events if event.name == "activity"]

    async def connect(self) -> None:
        """Begin at the position of a page, or resume after the last event."""
        self._parser.begin()
        position = self._parser.last_event_id
        if not position:
            position = (await self._live.read_page(self._key, 1))["position"]
            self._read_anew()
        self._subscriber = self._live.subscribe(self._key, position)

    def cut(self) -> None:
        """Lose the connection, with the events under way."""
        assert self._subscriber is not None
        self._live.unsubscribe(self._subscriber)
        self._subscriber = None

    async def take(self, most_bytes: int | None = None) -> None:
        """Receive only the first bytes of the next event."""
        assert self._subscriber is not None
        data = await self._subscriber.next()
        assert data is not None
        for event in self._parser.feed(data[:most_bytes]):
            self._apply(event)

    async def take_until(self, name: str, seconds: float = 10) -> None:
        """Receive events until one with that name has arrived."""
        before = len(self.events)

        async def take_all() -> None:
            while name not in (event.name for event in self.events[before:]):
                await self.take()

        await asyncio.wait_for(take_all(), seconds)

    def _apply(self, event: Event) -> None:
        self.events.append(event)
        if event.name == "activity":
            self._learn(parse_id(event.value["id"]))
        elif event.name == "removed":
            self.known.discard(parse_id(event.value["id"]))
        elif event.name == "gap":
            self._read_anew()

    def _learn(self, activity_id: int) -> None:
        if activity_id in self.known:
            self.told_twice.append(activity_id)
        self.known.add(activity_id)

    def _read_anew(self) -> None:
        self.known = ids_of(self._timelines.get_slice(self._key, 0, None))


def ids_of(entries: Iterable[object]) -> set[int]:
    """The ids of entries."""
    return {entry.serialization_id for entry in entries}  # type: ignore[attr-defined]
