"""Values as the protocol carries them, so that hot paths need not ask the driver for each one's type."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Any

Rows = list[tuple[Any, ...]]
"""What a reading statement returns."""

_INT = struct.Struct(">i")
_BIGINT = struct.Struct(">q")


def int_value(value: int) -> bytes:
    """Return an ``int``."""
    return _INT.pack(value)


def bigint_value(value: int) -> bytes:
    """Return a ``bigint``, which a timestamp is."""
    return _BIGINT.pack(value)


def list_value(elements: Sequence[bytes]) -> bytes:
    """Return a list of elements, such as stands behind IN."""
    parts = [_INT.pack(len(elements))]
    for element in elements:
        parts += (_INT.pack(len(element)), element)
    return b"".join(parts)


def list_values(elements: Sequence[bytes], length: int) -> Iterator[bytes]:
    """Yield lists of at most ``length`` of the elements, one for each request."""
    for first in range(0, len(elements), length):
        yield list_value(elements[first : first + length])


def routing_key(parts: Sequence[bytes]) -> bytes:
    """Return the key by which the partition of these columns is routed."""
    if len(parts) == 1:
        return parts[0]
    return b"".join([struct.pack(f">H{len(part)}sB", len(part), part, 0) for part in parts])
