"""The position of a client in a timeline, and the entries that the client missed since then.

A position is sent as the id of each event. A client that reconnects sends the last one back.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b

from feedstore.live.window import Window

_VERSION = 1
_KEY_BYTES = 6
# One byte more than an id: a floor, and therefore the newest known id, may be above every id.
_REACH_BYTES = 17
_COUNT_BYTES = 2
_DIGEST_BYTES = 8
_BYTES = 1 + _KEY_BYTES + 2 * _REACH_BYTES + _COUNT_BYTES + _DIGEST_BYTES
MOST_ENTRIES: int = 2 ** (8 * _COUNT_BYTES) - 1


@dataclass(frozen=True)
class Position:
    """The range of a timeline that a client knows: all ``count`` entries from ``lowest`` to ``newest``.

    ``digest`` is a hash of their ids. The newest id alone is not enough: an entry may be stored late, with a lower id,
    and changes the digest.
    """

    newest: int
    lowest: int
    count: int
    digest: bytes

    @classmethod
    def of(cls, window: Window) -> Position:
        """Return the position of a client that knows the window."""
        return cls(window.newest, window.lowest, len(window), _digest(window.packed))

    def is_of(self, window: Window) -> bool:
        """Return whether the client knows all entries of the window up to ``newest``, and no others."""
        return Position.of(window.known_at(self.newest, self.lowest)) == self


def encode_position(position: Position, key: str) -> str:
    """Return a position as 68 URL-safe characters, valid in every process for the timeline ``key`` alone."""
    parts = (
        bytes([_VERSION]),
        _digest_of_key(key),
        (position.newest + 1).to_bytes(_REACH_BYTES, "big"),
        position.lowest.to_bytes(_REACH_BYTES, "big"),
        position.count.to_bytes(_COUNT_BYTES, "big"),
        position.digest,
    )
    return urlsafe_b64encode(b"".join(parts)).decode()


def decode_position(text: str, key: str) -> Position | None:
    """Return the position in ``text``; None if it was altered, or belongs to another timeline or a newer release.

    A client can send any text. A wrong position causes a gap event, and never shows an entry that the client may not
    see.
    """
    try:
        data = urlsafe_b64decode(text.encode("ascii"))
    except ValueError:
        return None
    if len(data) != _BYTES or data[0] != _VERSION or data[1 : 1 + _KEY_BYTES] != _digest_of_key(key):
        return None
    newest, lowest = 1 + _KEY_BYTES, 1 + _KEY_BYTES + _REACH_BYTES
    count = lowest + _REACH_BYTES
    return Position(
        int.from_bytes(data[newest:lowest], "big") - 1,
        int.from_bytes(data[lowest:count], "big"),
        int.from_bytes(data[count : count + _COUNT_BYTES], "big"),
        data[count + _COUNT_BYTES :],
    )


def _digest(packed: bytes) -> bytes:
    return blake2b(packed, digest_size=_DIGEST_BYTES).digest()


def _digest_of_key(key: str) -> bytes:
    return blake2b(key.encode(), digest_size=_KEY_BYTES).digest()


class Gap(StrEnum):
    """The reasons why a client must reload its timeline; the values are sent in the gap event."""

    UNKNOWN_POSITION = "unknown position"
    """The id that the client sent cannot be decoded, or belongs to another timeline."""
    CHANGED = "changed"
    """An entry was stored late or removed among those that the client knows."""
    TRIMMED = "trimmed"
    """Entries that the client missed may have been trimmed."""
    TOO_MANY = "too many"
    """The client missed more than ``most_missed`` entries."""


@dataclass(frozen=True)
class Resumption:
    """The ids of the entries that a client missed, oldest first, and the window that it knows."""

    missed: list[int]
    known: Window


def resume(position: Position | None, window: Window, floor: int | None, most_missed: int) -> Resumption | Gap:
    """Return the entries that a client at ``position`` missed, or the reason why they are unknown.

    ``window`` is the current timeline, read down to the position's lowest id or to the maximum depth.
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
