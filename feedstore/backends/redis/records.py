"""The records of timelines as the scripts return them."""

from __future__ import annotations

from itertools import repeat
from struct import Struct
from typing import Any

from msgpack import unpackb

from feedstore.errors import StoredDataError
from feedstore.ids import ID_BYTES
from feedstore.shown import WHOLE_KEY, shown
from feedstore.storage.timeline_hooks import Entry

AGAIN = b"AGAIN"
"""The answer of a script that needs the side key, which was not among its keys."""

MOST_OF_A_STRING = 2048
"""A timeline of more entries has chunks, and its string holds the newest of them."""

_DAMAGED = b"DAMAGED"
_TRAILER = Struct(">IIIB3s")
_MARK = b"pkd"
_HALVES = Struct(">QQ")
_HALF_BITS = 64
_LENGTHS = {ID_BYTES}


def check_ids(key: str, ids: list[bytes]) -> list[bytes]:
    """Return ids as they were read from ``key``. Raises :class:`StoredDataError` for one that is not 16 bytes (T14)."""
    if not _LENGTHS.issuperset(map(len, ids)):
        wrong = next(one for one in ids if len(one) != ID_BYTES)
        raise StoredDataError(
            f"{shown(key, WHOLE_KEY)} holds {shown(wrong)}, which is no id of {ID_BYTES} bytes; it is damaged"
        )
    return ids


def check_whole(key: str, answer: Any) -> None:
    """Raise :class:`StoredDataError` if a script found a timeline damaged (T14: damage never reads as absence)."""
    if answer == _DAMAGED:
        raise _damaged(key)


def _damaged(key: str) -> StoredDataError:
    return StoredDataError(f"the timeline {shown(key, WHOLE_KEY)} is damaged; delete the timeline")


def ids_of(key: str, records: bytes) -> list[int]:
    """Return the ids in a string of records. Raises :class:`StoredDataError` for a timeline that is damaged."""
    check_whole(key, records)
    return [high << _HALF_BITS | low for high, low in _HALVES.iter_unpack(records)]


def payloads_in(packed: bytes) -> list[bytes]:
    """Return the payloads in the answer of a script, ``b""`` for an entry without one. It is empty if none has one."""
    if not packed:
        return []
    found: list[bytes] = unpackb(packed, raw=True)
    # The script packs false for a field that a hash does not have.
    return found if all(found) else [payload or b"" for payload in found]


def length_of_end(count: int) -> int:
    """Return how many bytes the newest ``count`` entries and the trailer of a timeline take."""
    return (count + 1) * ID_BYTES


def newest_in(key: str, end: bytes, count: int) -> bytes | None:
    """Return the newest ``count`` records, or as many as there are, given the end of a timeline's string.

    Returns None if some of them lie in chunks. Raises :class:`StoredDataError` for a timeline that is damaged.
    """
    if not end:
        return b""
    if len(end) % ID_BYTES or not end.endswith(_MARK):
        raise _damaged(key)
    held, _, size, _, _ = _TRAILER.unpack_from(end, len(end) - ID_BYTES)
    wanted = min(count, size)
    if wanted > held:
        return None
    if len(end) < length_of_end(wanted):
        raise _damaged(key)
    return end[-length_of_end(wanted) : -ID_BYTES]


def first_known(key: str, end: bytes) -> tuple[int, bool]:
    """Return where the records of a timeline's string begin in ``end``, and whether there are older entries.

    ``end`` is read with :func:`length_of_end` of ``MOST_OF_A_STRING`` entries. The trailer follows the records. Raises
    :class:`StoredDataError` for a timeline that is damaged.
    """
    if not end:
        return 0, False
    if len(end) % ID_BYTES or not end.endswith(_MARK):
        raise _damaged(key)
    held, _, size, _, _ = _TRAILER.unpack_from(end, len(end) - ID_BYTES)
    known = min(held, size, MOST_OF_A_STRING)
    first = len(end) - length_of_end(known)
    if first < 0:
        raise _damaged(key)
    return first, size > known


def place_in(end: bytes, id_: bytes, first: int) -> int | None:
    """Return how many records are newer than an id, given where the records begin; None if it is not there."""
    last = len(end) - ID_BYTES
    place = end.find(id_, first, last)
    while place % ID_BYTES and place >= 0:
        place = end.find(id_, place + 1, last)
    return None if place < 0 else (last - place) // ID_BYTES - 1


def count_in(key: str, end: bytes) -> int:
    """Return the number of entries of a timeline, given its trailer. Raises as :func:`newest_in`."""
    newest_in(key, end, 0)
    count: int = _TRAILER.unpack(end)[2] if end else 0
    return count


def entries_of(key: str, records: bytes, payloads: bytes, descending: bool) -> list[Entry]:
    """Return the entries of records in the order asked for, with the payloads of those that have one."""
    ids = ids_of(key, records)
    entries = list(zip(ids, payloads_in(payloads) or repeat(b""), strict=False))
    if descending:
        entries.reverse()
    return entries


def columns_of(answer: Any) -> tuple[bytes, bytes]:
    """Return the records and the packed payloads of a slice that a script has read."""
    return (answer, b"") if isinstance(answer, bytes) else (answer[0], answer[1])
