"""A byte stream that counts what was read of it, and of which the beginning can be looked at."""

from __future__ import annotations

import io
from typing import BinaryIO


class CountingStream(io.RawIOBase):
    """Reads ``source`` and counts the bytes; closing it leaves ``source`` open.

    A pipe cannot be rewound: what :meth:`peek` took is handed out again.
    """

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._head = b""
        self.bytes_read = 0

    def peek(self, count: int) -> bytes:
        """Return the first ``count`` bytes, fewer at the end of the source, without consuming them."""
        while len(self._head) < count:
            data = self._source.read(count - len(self._head))
            if not data:
                break
            self._head += data
        return self._head[:count]

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill ``buffer`` with what is there, at least one byte before the end; return how many."""
        count = self._take_head(buffer) if self._head else self._take_source(buffer)
        self.bytes_read += count
        return count

    def _take_head(self, buffer: bytearray | memoryview) -> int:
        data, self._head = self._head[: len(buffer)], self._head[len(buffer) :]
        buffer[: len(data)] = data
        return len(data)

    def _take_source(self, buffer: bytearray | memoryview) -> int:
        # read1 returns what a pipe holds instead of waiting until the buffer is full.
        read = getattr(self._source, "read1", self._source.read)
        data = read(len(buffer))
        buffer[: len(data)] = data
        return len(data)
