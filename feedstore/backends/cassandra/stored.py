"""Decoders of stored ids, keys and names. Damaged data raises StoredDataError, which names its place (T14)."""

from __future__ import annotations

from collections.abc import Sequence

from feedstore.backends.cassandra.values import Rows
from feedstore.errors import StoredDataError
from feedstore.ids import ID_BYTES, id_to_text
from feedstore.shown import WHOLE_KEY, shown

_ID_LENGTHS = {ID_BYTES}


def stored_id(data: bytes, where: str) -> int:
    """Return the id of a row. ``where`` names the timeline or slice in the error."""
    if len(data) != ID_BYTES:
        raise _wrong_id(data, where)
    return int.from_bytes(data, "big")


def stored_entries(rows: Rows, where: str) -> list[tuple[int, bytes]]:
    """Return ``(id, payload)`` of rows that begin with both."""
    from_bytes = int.from_bytes
    entries = [(from_bytes(row[0], "big"), row[1]) for row in checked_ids(rows, where)]
    for activity_id, data in entries:
        if data is None:
            raise StoredDataError(f"{where} holds {id_to_text(activity_id)} without a payload")
    return entries


def checked_ids(rows: Rows, where: str) -> Rows:
    """Return rows after checking that each begins with an id."""
    if not have_ids(rows):
        raise _wrong_id(next(row[0] for row in rows if len(row[0]) != ID_BYTES), where)
    return rows


def have_ids(rows: Rows) -> bool:
    """Return whether each of the rows begins with an id."""
    return {len(row[0]) for row in rows} <= _ID_LENGTHS


def stored_key(data: bytes, where: str) -> str:
    """Return a key as a str."""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise StoredDataError(f"{where} holds the key {shown(data)}, which is not UTF-8") from error


def stored_value(data: bytes | None, key: str) -> bytes:
    """Return the bytes of an item, or raise StoredDataError if they are missing."""
    if data is None:
        raise StoredDataError(f"the value of key {shown(key, WHOLE_KEY)} is missing")
    return data


def stored_slices(names: Sequence[bytes], length: int) -> Sequence[bytes]:
    """Return the names of slices in the directory after checking their lengths."""
    for name in names:
        if len(name) != length:
            raise StoredDataError(f"the directory of activities holds {shown(name)}, which names no slice")
    return names


def _wrong_id(data: bytes, where: str) -> StoredDataError:
    return StoredDataError(f"{where} holds {shown(data)}, which is not an id of {ID_BYTES} bytes")
