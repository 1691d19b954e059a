"""Sources of inputs: files and standard input, plain or compressed with gzip."""

from __future__ import annotations

import io
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from gzip import GzipFile
from typing import BinaryIO, cast

from feedstore.errors import InputError, InvalidTypeError
from feedstore.ingest.lines import Lines
from feedstore.shown import shown

STANDARD_INPUT = "-"
_GZIP_MAGIC = b"\x1f\x8b"
_BUFFER_BYTES = 1 << 16


class CountingStream(io.RawIOBase):
    """A byte stream that reads ``source`` and counts the bytes; closing it leaves ``source`` open.

    A pipe cannot be rewound, so the stream returns the bytes that :meth:`peek` has read a second time.
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
        """Fill ``buffer`` with the available bytes, at least one before the end; return their number."""
        count = self._take_head(buffer) if self._head else self._take_source(buffer)
        self.bytes_read += count
        return count

    def _take_head(self, buffer: bytearray | memoryview) -> int:
        data, self._head = self._head[: len(buffer)], self._head[len(buffer) :]
        buffer[: len(data)] = data
        return len(data)

    def _take_source(self, buffer: bytearray | memoryview) -> int:
        # read1 returns the available bytes of a pipe instead of waiting until the buffer is full.
        read = getattr(self._source, "read1", self._source.read)
        data = read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


class Source:
    """An input by its path; ``-`` is standard input, or the binary file ``standard_input`` in its place.

    The first bytes decide whether the input is compressed, not its name. Standard input can be opened once.

    - ``name`` is the name in errors, and ``identity`` the name in checkpoints: the absolute path, or ``-``.
    - ``size`` is the number of bytes on the disk; None if that is unknown, as for a pipe.
    - ``bytes_read`` is the number of bytes that were read so far.
    """

    def __init__(self, path: str | os.PathLike[str], standard_input: BinaryIO | None = None) -> None:
        if not isinstance(path, (str, os.PathLike)):
            raise InvalidTypeError(f"a source is a path, or '-' for standard input, not {shown(path)}")
        self.path = os.fspath(path)
        self.is_standard_input = self.path == STANDARD_INPUT
        self.name = "<stdin>" if self.is_standard_input else self.path
        self.identity = self.path if self.is_standard_input else os.path.abspath(self.path)
        self.size: int | None = None
        self._standard_input = standard_input
        self._stream: CountingStream | None = None

    @property
    def bytes_read(self) -> int:
        """The number of bytes that were read since the source was opened last; 0 before."""
        return 0 if self._stream is None else self._stream.bytes_read

    @contextmanager
    def open(self) -> Iterator[Lines]:
        """Open the source and give its :class:`~feedstore.ingest.lines.Lines`; closed at the end of the block.

        Raises :class:`InputError` if it cannot be opened.
        """
        with ExitStack() as opened:
            try:
                raw = self._open_raw(opened)
                self.size = _size_of(raw)
                self._stream = CountingStream(raw)
                is_compressed = self._stream.peek(len(_GZIP_MAGIC)) == _GZIP_MAGIC
            except OSError as error:
                raise InputError(f"the file cannot be read: {error.strerror}", self.name) from error
            yield Lines(_buffered(self._stream, is_compressed), self.name)

    def _open_raw(self, opened: ExitStack) -> BinaryIO:
        if self.is_standard_input:
            if self._standard_input is None and sys.stdin is None:
                raise InputError("standard input is closed; name a file, or redirect one to it", self.name)
            return self._standard_input or sys.stdin.buffer
        return opened.enter_context(open(self.path, "rb"))


def _size_of(raw: BinaryIO) -> int | None:
    try:
        status = os.fstat(raw.fileno())
    except (OSError, io.UnsupportedOperation):
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _buffered(stream: CountingStream, is_compressed: bool) -> io.BufferedReader[CountingStream]:
    plain = io.BufferedReader(stream, _BUFFER_BYTES)
    if not is_compressed:
        return plain
    # GzipFile is written in Python: a buffer in C around it reads lines several times as fast. The stream between them
    # reads the available bytes only, so that the caller receives all rows before a cut.
    unzipped = CountingStream(cast(BinaryIO, GzipFile(fileobj=plain, mode="rb")))
    return io.BufferedReader(unzipped, _BUFFER_BYTES)
