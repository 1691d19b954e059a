"""Events in the format of the WHATWG's HTML standard, section "Server-sent events"."""

from __future__ import annotations

import random
from dataclasses import dataclass

from sse_starlette import ServerSentEvent

ACTIVITY = "activity"
EVENT = "event"
REMOVED = "removed"
GAP = "gap"
READY = "ready"
HEARTBEAT = b":\n\n"
_NEWLINE = "\n"
_SOONEST_RETRY_MILLISECONDS = 1_000
_LATEST_RETRY_MILLISECONDS = 5_000
_LONG_RETRY_FACTOR = 12


@dataclass(frozen=True)
class Packet:
    """Encoded events, their number, and the position of a client that received them (None: unchanged)."""

    data: bytes
    events: int = 0
    position: str | None = None


def new_event(name: str, data: str) -> bytes:
    """Return one encoded event without an id."""
    return ServerSentEvent(data, event=name, sep=_NEWLINE).encode()


def with_event_id(event: bytes, position: str) -> bytes:
    """Return an event with its id: the client's position after it, which differs between timelines."""
    return b"id: %b\n%b" % (position.encode(), event)


def new_retry_hint(is_long: bool = False) -> bytes:
    """Return the line with the delay before a client reconnects: 1 to 5 seconds, or 12 to 60 if ``is_long``.

    The delay is random, so that clients that were disconnected together do not reconnect together.
    """
    milliseconds = random.randint(_SOONEST_RETRY_MILLISECONDS, _LATEST_RETRY_MILLISECONDS)
    return ServerSentEvent(retry=milliseconds * (_LONG_RETRY_FACTOR if is_long else 1), sep=_NEWLINE).encode()
