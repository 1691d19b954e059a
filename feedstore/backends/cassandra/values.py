"""Values in the encoding of the protocol, so that hot paths skip the driver's own conversion of types."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Any

Rows = list[tuple[Any, ...]]
"""The rows that a reading statement returns."""

_INT = struct.Struct(">i")
_BIGINT = struct.Struct(">q")


def int_value(value: int) -> bytes:
    """Return a value of the type ``int``."""
    return _INT.pack(value)


def bigint_value(value: int) -> bytes:
    """Return a value of the type ``bigint``, such as a timestamp."""
    return _BIGINT.pack(value)


def list_value(elements: Sequence[bytes]) -> bytes:
    """Return a value of a list type, such as the value of ``IN ?``."""
    parts = [_INT.pack(len(elements))]
    for element in elements:
        parts += (_INT.pack(len(element)), element)
    return b"".join(parts)


def list_values(elements: Sequence[bytes], length: int) -> Iterator[bytes]:
    """Yield the elements as values of a list type, at most ``length`` elements in each."""
    for first in range(0, len(elements), length):
        yield list_value(elements[first : first + length])


def routing_key(parts: Sequence[bytes]) -> bytes:
    """Return the routing key of a partition, from the values of its key columns."""
    if len(parts) == 1:
        return parts[0]
    return b"".join([struct.pack(f">H{len(part)}sB", len(part), part, 0) for part in parts])
