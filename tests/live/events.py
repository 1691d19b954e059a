"""A parser of event streams by the WHATWG's HTML standard."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Event:
    """One event as a page gets it."""

    name: str
    data: str
    last_event_id: str

    @property
    def value(self) -> Any:
        """The data, which are JSON."""
        return json.loads(self.data)


class EventParser:
    """A parser from bytes to events. Like a browser, it keeps the last id and the retry hint."""

    def __init__(self) -> None:
        self.last_event_id = ""
        self.retry: int | None = None
        self.comments = 0
        self.begin()

    def begin(self) -> None:
        """Begin with a new connection, and drop a part of an event from the last one."""
        self._rest = b""
        self._id = self.last_event_id
        self._name = ""
        self._data: list[str] = []

    def feed(self, data: bytes) -> list[Event]:
        """Return the events that are complete now."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        found = [self._line(line.decode().rstrip("\r")) for line in lines]
        return [event for event in found if event is not None]

    def _line(self, line: str) -> Event | None:
        if not line:
            return self._dispatch()
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not field:
            self.comments += 1
        elif field == "data":
            self._data.append(value)
        elif field == "event":
            self._name = value
        elif field == "id":
            self._id = value
        elif field == "retry" and value.isdecimal():
            self.retry = int(value)
        return None

    def _dispatch(self) -> Event | None:
        name, data = self._name, self._data
        self._name, self._data = "", []
        self.last_event_id = self._id
        return Event(name or "message", "\n".join(data), self.last_event_id) if data else None
