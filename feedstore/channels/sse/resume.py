"""Going on where a client was: what it missed, or that it cannot be told."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from feedstore.channels.sse.position import Position
from feedstore.channels.sse.window import Window


class Gap(str, Enum):
    """Why a client must read its timeline anew. The values are what the event says."""

    UNKNOWN_POSITION = "unknown position"
    """The id that it sent back cannot be read, or is another timeline's."""
    CHANGED = "changed"
    """Among the entries that it knew, some were stored late or removed."""
    TRIMMED = "trimmed"
    """Some of what it missed may have been trimmed away."""
    TOO_MANY = "too many"
    """It missed more than is sent again."""


@dataclass(frozen=True)
class Resumption:
    """What a client missed, oldest first, and the window that it knew."""

    missed: list[int]
    known: Window


def resume(position: Position | None, window: Window, floor: int | None, most_missed: int) -> Resumption | Gap:
    """Return what a client at ``position`` missed, or why that is not known.

    ``window`` is the timeline as it is now, read as far down as the position reaches, or as deep as is read at all.
    """
    if position is None:
        return Gap.UNKNOWN_POSITION
    missed = [activity_id for activity_id in reversed(window.ids()) if activity_id > position.newest]
    if len(missed) > most_missed:
        return Gap.TOO_MANY
    if floor is not None and floor > position.newest + 1:
        return Gap.TRIMMED
    if window.lowest > position.lowest or not position.is_of(window):
        return Gap.CHANGED
    return Resumption(missed, window.known_at(position.newest, position.lowest))
