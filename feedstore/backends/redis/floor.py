"""The floor of a timeline, as its state in the directory tells it."""

from __future__ import annotations

from feedstore.errors import StoredDataError
from feedstore.ids import ID_BYTES, id_from_bytes

_IMPLICIT = b"-"
_NOTHING_LEFT = b"e"
_LETTER_BYTES = 1


def floor_of(state: bytes | None, oldest: list[bytes]) -> int | None:
    """Return the floor of a timeline with that state and that oldest entry, None if nothing was ever trimmed.

    ``scripts/timelines.lua`` says what a state holds.
    """
    if state is None or (not oldest and not state.startswith(_NOTHING_LEFT)):
        # New, or expired, and expiry counts as delete.
        return None
    if state == _IMPLICIT:
        return id_from_bytes(oldest[0])
    floor = state[_LETTER_BYTES:]
    if not floor:
        return None
    if len(floor) != ID_BYTES + 1:
        raise StoredDataError(f"the state of a timeline, 0x{state.hex()}, is damaged")
    return id_from_bytes(floor[:ID_BYTES]) + floor[ID_BYTES]
