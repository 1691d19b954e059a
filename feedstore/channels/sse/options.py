"""The numbers that live timelines go by, and how far each may go."""

from __future__ import annotations

from typing import Any

from feedstore.channels.sse.position import MOST_ENTRIES
from feedstore.storage.option_values import DAY_SECONDS, Reader, read_count, read_seconds

_MOST_CLIENTS = 10_000_000
_YEAR_SECONDS = 366 * DAY_SECONDS
_READERS: dict[str, Reader] = {
    "window": read_count(1, MOST_ENTRIES),
    "most_missed": read_count(1, MOST_ENTRIES),
    "most_waiting": read_count(1, MOST_ENTRIES),
    "most_clients": read_count(1, _MOST_CLIENTS),
    "settle_seconds": read_seconds(zero=True),
    "heartbeat_seconds": read_seconds(_YEAR_SECONDS),
    "longest_seconds": read_seconds(_YEAR_SECONDS),
    "write_seconds": read_seconds(_YEAR_SECONDS),
    "recheck_seconds": read_seconds(_YEAR_SECONDS),
    "threads": read_count(1, 1_000),
}


def checked_option(name: str, value: object) -> Any:
    """Return an option's number. Raises :class:`InvalidTypeError` or :class:`InvalidValueError`, which name it."""
    return _READERS[name](name, value)
