"""The floor of a timeline and its epoch, in one static column.

The column is always written at the same timestamp. Of two values with one timestamp, Cassandra keeps the larger one,
byte by byte, so the column only grows, in any order of the writes. A value begins with the epoch, which is the
timestamp of the last ``delete``: a new epoch is larger than every floor of earlier epochs.
"""

from __future__ import annotations

from typing import NamedTuple

from feedstore.errors import StoredDataError
from feedstore.ids import MAX_ID
from feedstore.shown import shown

FLOOR_TIMESTAMP = 1
"""The timestamp of every write of the column."""

_EPOCH_BYTES = 8
_FLOOR_BYTES = 17


class Floor(NamedTuple):
    """An epoch, and the floor in it: an int up to 2**128, or None before the first trim."""

    epoch: int = 0
    lowest: int | None = None


def floor_to_bytes(floor: Floor) -> bytes:
    """Return the column's value."""
    epoch = floor.epoch.to_bytes(_EPOCH_BYTES, "big")
    return epoch if floor.lowest is None else epoch + floor.lowest.to_bytes(_FLOOR_BYTES, "big")


def floor_from_bytes(data: bytes | None) -> Floor:
    """Return the floor in the column's value. A timeline that was never trimmed or deleted has no value."""
    if data is None:
        return Floor()
    if len(data) not in (_EPOCH_BYTES, _EPOCH_BYTES + _FLOOR_BYTES):
        raise _damaged(data)
    lowest = int.from_bytes(data[_EPOCH_BYTES:], "big")
    if lowest > MAX_ID + 1:
        raise _damaged(data)
    return Floor(int.from_bytes(data[:_EPOCH_BYTES], "big"), lowest if len(data) > _EPOCH_BYTES else None)


def _damaged(data: bytes) -> StoredDataError:
    return StoredDataError(f"the floor of a timeline, {shown(data)}, is damaged")
