"""The records of timelines as the scripts return them."""

from __future__ import annotations

from itertools import repeat
from struct import Struct
from typing import Any

from msgpack import unpackb

from feedstore.errors import StoredDataError
from feedstore.ids import ID_BYTES, id_from_bytes, id_to_bytes
from feedstore.shown import WHOLE_KEY, shown
from feedstore.storage.bounds import EVERYTHING, Bounds
from feedstore.storage.timeline_hooks import Entry

MOST_POSITION = 2**53
"""The greatest position that the scripts' numbers hold exactly."""

AGAIN = b"AGAIN"
"""The answer of a script that needs the side key, which was not among its keys."""

MOST_OF_A_STRING = 2048
"""A timeline of more entries has chunks, and its string holds the newest of them."""

_DAMAGED = b"DAMAGED"
_TRAILER = Struct(">IIIB3s")
_MARK = b"pkd"
_PAYLOADS, _WASTE = 1, 4
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


def newest_columns(end: Any, payloads: Any, count: int) -> tuple[bytes, list[bytes], bytes] | None:
    """Return the newest ``count`` records, oldest first, their payloads, newest first, and the floor, b"" for none.

    Returns None for a timeline that a script must read: it has chunks or no payloads, is damaged, or its floor is not
    in ``end``, which is read with :func:`length_of_end` of ``count + 1``. Each may be the error of its command.
    """
    if isinstance(end, Exception) or isinstance(payloads, Exception):
        return None
    if not end:
        return b"", [], b""
    known = len(end) // ID_BYTES - 1
    if len(end) % ID_BYTES or not end.endswith(_MARK):
        return None
    held, older, size, flags, _ = _TRAILER.unpack_from(end, known * ID_BYTES)
    wanted, trimmed = min(count, size), held - size
    is_plain = flags & _PAYLOADS and not older and trimmed >= 0 and known == min(held, count + 1)
    if not is_plain or len(payloads) != wanted:
        return None
    floor = b""
    if trimmed and flags < _WASTE:
        if known <= size:
            return None
        at = (known - size - 1) * ID_BYTES
        floor = end[at : at + ID_BYTES]
    return end[(known - wanted) * ID_BYTES : known * ID_BYTES], payloads[::-1], floor


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


def in_columns(answer: Any) -> tuple[bytes, list[bytes], bytes]:
    """Return the records of a script's page, oldest first, their payloads, newest first, and the floor."""
    records, packed, floor = answer
    return records, (payloads_in(packed) or [b""] * (len(records) // ID_BYTES))[::-1], floor


def range_words(start: int, stop: int | None, bounds: Bounds, descending: bool) -> tuple[Any, ...] | None:
    """Return a slice as the arguments of the script that reads it; None where nothing can be found."""
    start = min(start, MOST_POSITION)
    count = -1 if stop is None else min(stop, MOST_POSITION) - start
    if bounds.is_empty or count == 0:
        return None
    lowest = b"" if bounds.lowest <= EVERYTHING.lowest else id_to_bytes(bounds.lowest)
    highest = b"" if bounds.highest >= EVERYTHING.highest else id_to_bytes(bounds.highest)
    return start, count, lowest, highest, int(descending)


def page_of(key: str, answer: Any, descending: bool) -> tuple[list[Entry], int | None]:
    """Return the entries and the floor of a page that a script has read."""
    records, payloads, floor = answer
    return entries_of(key, records, payloads, descending), id_from_bytes(floor) + 1 if floor else None
