"""Packets of events for the changes of a timeline, each with the position of a client that received it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from feedstore.ids import id_to_text
from feedstore.live.event import GAP, READY, REMOVED, Packet, new_event, with_event_id
from feedstore.live.position import Gap, Position, Resumption, encode_position
from feedstore.live.window import Window, WindowChange

Events = Mapping[int, bytes]
"""The encoded event of each activity by activity id, without the event's own id."""
_EVENTS_IN_A_PACKET = 64


class PacketWriter:
    """Writes the packets of one timeline; ``most`` is the number of newest entries that a position covers."""

    def __init__(self, key: str, events: Events, most: int) -> None:
        self._key = key
        self._events = events
        self._most = most

    def news(self, old: Window, change: WindowChange) -> list[Packet]:
        """Return the packets of a change: first the removed entries, then the added ones, oldest first.

        An entry whose activity is missing is left out, as in pages.
        """
        events = list(self._removals(old, change.removed))
        events += self._additions(old.without(change.removed), change.added, change.window)
        return list(_packed(events))

    def answer(self, resumption: Resumption | Gap | None, window: Window) -> list[Packet]:
        """Return the packets for a joining subscriber: the missed entries or a gap event, and then a ready event."""
        position = self._position(window)
        events: list[tuple[bytes, str]] = []
        if isinstance(resumption, Gap):
            events = [self._event(GAP, {"reason": resumption.value}, position)]
        elif resumption is not None:
            events = list(self._additions(resumption.known, resumption.missed, window))
        return list(_packed([*events, self._event(READY, {}, position)]))

    def gap(self, reason: Gap, window: Window) -> list[Packet]:
        """Return the packets that make live subscribers reload the timeline."""
        return self.answer(reason, window)[:1]

    def _removals(self, window: Window, removed: list[int]) -> Iterator[tuple[bytes, str]]:
        for activity_id in removed:
            window = window.without([activity_id])
            yield self._event(REMOVED, {"id": id_to_text(activity_id)}, self._position(window))

    def _additions(self, window: Window, added: list[int], last: Window) -> Iterator[tuple[bytes, str]]:
        for activity_id in added:
            window = last if activity_id == added[-1] else window.with_entry(activity_id, self._most)
            event = self._events.get(activity_id)
            if event is not None:
                position = self._position(window)
                yield with_event_id(event, position), position

    def _event(self, name: str, value: dict[str, str], position: str) -> tuple[bytes, str]:
        return with_event_id(new_event(name, json.dumps(value)), position), position

    def _position(self, window: Window) -> str:
        return encode_position(Position.of(window), self._key)


def _packed(events: list[tuple[bytes, str]]) -> Iterator[Packet]:
    """Yield packets of up to 64 events, so that a slow client is not sent all of them in one write."""
    for start in range(0, len(events), _EVENTS_IN_A_PACKET):
        some = events[start : start + _EVENTS_IN_A_PACKET]
        yield Packet(b"".join(data for data, _ in some), len(some), some[-1][1])
