"""The codec of plain values: what key-value storages keep, and what an activity carries in its extra context.

None, bool, int of any size, float, str, bytes, list, dict and aware datetimes come back as the type they went in. The
bytes are msgpack with two extension types: 1 is an aware datetime (microseconds since 1970 and UTC offset in
microseconds, two big-endian signed 64-bit integers), 2 an int beyond 64 bits (big-endian two's complement).
"""

from __future__ import annotations

import struct
from datetime import datetime, timedelta, timezone
from typing import Any

import msgpack

from feedstore.errors import FeedstoreError, InvalidTypeError, InvalidValueError
from feedstore.shown import shown

_DATETIME = 1
_BIG_INTEGER = 2
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND = timedelta(microseconds=1)
_DATETIME_FORMAT = struct.Struct(">qq")
_STORABLE = "None, bool, int, float, str, bytes, list, dict and aware datetimes"


def pack_value(value: Any) -> bytes:
    """Return the msgpack bytes of ``value``.

    Raises :class:`InvalidTypeError` for a type that would not come back as it went in (a tuple, a set, a subclass), and
    :class:`InvalidValueError` for a naive datetime, a text that UTF-8 cannot carry or nesting beyond 500 levels.
    """
    return pack_with(new_packer(), value)


def new_packer() -> msgpack.Packer:
    """Return a packer of plain values: a third of the cost of :func:`pack_value` where one thread packs many."""
    return msgpack.Packer(strict_types=True, default=_pack_extension)


def pack_with(packer: msgpack.Packer, value: Any) -> bytes:
    """Return the bytes of ``value`` as :func:`pack_value` does, with a packer that no other thread uses meanwhile."""
    try:
        packed: bytes = packer.pack(value)
    except (InvalidTypeError, InvalidValueError):
        raise
    except UnicodeEncodeError as error:
        raise InvalidValueError(f"the text {shown(error.object)} holds a lone surrogate") from None
    except (ValueError, RecursionError) as error:
        raise InvalidValueError(f"it cannot be stored: {error}") from None
    if b"\xc4" in packed or b"\xc5" in packed or b"\xc6" in packed:
        _refuse_buffers(value)
    return packed


def _refuse_buffers(value: Any) -> None:
    """Raise for a bytearray or a memoryview, which msgpack takes for bytes even where it is told to be strict.

    Only what holds one of the three marks of bytes need be searched.
    """
    if type(value) is dict:
        for key, item in value.items():
            _refuse_buffers(key)
            _refuse_buffers(item)
    elif type(value) is list:
        for item in value:
            _refuse_buffers(item)
    elif type(value) in (bytearray, memoryview):
        raise _unstorable(value)


def naming(error: FeedstoreError, what: str) -> FeedstoreError:
    """Return the same kind of error with a message that begins with ``what``, the name of the thing that is stored."""
    return type(error)(f"{what}: {error}")


def unpack_value(data: bytes) -> Any:
    """Return the value of msgpack bytes. Raises ``ValueError`` or ``TypeError`` where they are none."""
    return msgpack.unpackb(data, strict_map_key=False, ext_hook=_unpack_extension)


def _pack_extension(value: Any) -> msgpack.ExtType:
    if type(value) is datetime:
        return msgpack.ExtType(_DATETIME, _pack_datetime(value))
    if type(value) is int:
        return msgpack.ExtType(_BIG_INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))
    raise _unstorable(value)


def _unstorable(value: Any) -> InvalidTypeError:
    return InvalidTypeError(
        f"cannot store {shown(value)} of type {type(value).__name__}; what is stored is {_STORABLE}"
    )


def _pack_datetime(value: datetime) -> bytes:
    offset = value.utcoffset()
    if offset is None:
        raise InvalidValueError(f"the time {shown(value)} has no timezone; pass an aware datetime")
    return _DATETIME_FORMAT.pack((value - _EPOCH) // _MICROSECOND, offset // _MICROSECOND)


def _unpack_extension(code: int, data: bytes) -> Any:
    if code == _DATETIME:
        return _unpack_datetime(data)
    if code == _BIG_INTEGER:
        return int.from_bytes(data, "big", signed=True)
    raise ValueError(f"extension type {code} is not one of feedstore's")


def _unpack_datetime(data: bytes) -> datetime:
    try:
        microseconds, offset = _DATETIME_FORMAT.unpack(data)
    except struct.error as error:
        raise ValueError(str(error)) from error
    zone = timezone.utc if offset == 0 else timezone(offset * _MICROSECOND)
    # By its own clock: in UTC the first and the last hours of the calendar lie outside it.
    return (_EPOCH + timedelta(microseconds=microseconds + offset)).replace(tzinfo=zone)
