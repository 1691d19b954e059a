"""The ids of a timeline's entries, and its floor, as they are stored."""

from __future__ import annotations

from feedstore.errors import StoredDataError
from feedstore.ids import ID_BYTES, id_from_bytes
from feedstore.shown import WHOLE_KEY, shown

_OLDEST_IS_FLOOR = b"-"
_NOTHING_LEFT = b"e"
_LETTERS = (b"0", b"1", b"e")
_LETTER_BYTES = 1
_LENGTHS = {ID_BYTES}


def check_ids(key: str, ids: list[bytes]) -> list[bytes]:
    """Return ids as they were read from ``key``. Raises :class:`StoredDataError` for one that is not 16 bytes (T14)."""
    if not _LENGTHS.issuperset(map(len, ids)):
        wrong = next(one for one in ids if len(one) != ID_BYTES)
        raise StoredDataError(
            f"{shown(key, WHOLE_KEY)} holds {shown(wrong)}, which is no id of {ID_BYTES} bytes; it is damaged"
        )
    return ids


def floor_of(key: str, state: bytes | None, oldest: list[bytes]) -> int | None:
    """Return the floor of a timeline with that state and that oldest entry, None if nothing was ever trimmed.

    ``scripts/timelines.lua`` says what a state holds. Raises :class:`StoredDataError` for another one.
    """
    check_ids(key, oldest)
    if state is None or (not oldest and not state.startswith(_NOTHING_LEFT)):
        # New, or expired, and expiry counts as delete.
        return None
    if state == _OLDEST_IS_FLOOR:
        return id_from_bytes(oldest[0])
    floor = state[_LETTER_BYTES:]
    if state[:_LETTER_BYTES] not in _LETTERS or len(floor) not in (0, ID_BYTES + 1):
        raise StoredDataError(
            f"the state of the timeline {shown(key, WHOLE_KEY)}, 0x{state.hex()}, is damaged; delete the timeline"
        )
    if not floor:
        return None
    return id_from_bytes(floor[:ID_BYTES]) + floor[ID_BYTES]
