"""The physical lines of an input, and how far its records have been taken."""

from __future__ import annotations

import zlib
from hashlib import blake2b
from io import BufferedReader, BytesIO
from typing import Any, NamedTuple, NoReturn

from feedstore.errors import InputError

MAX_RECORD_BYTES = 1 << 20
"""How long one record may be: what is longer is no record, but a file of another kind."""

_BLOCK_BYTES = 1 << 20
_DIGEST_BYTES = 16
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Position(NamedTuple):
    """A place between two records: how many lines and bytes lie before it, and a digest of those bytes."""

    line: int
    byte: int
    digest: bytes


class Lines:
    """An iterator over the lines of a byte stream, decoded from UTF-8, in bounded memory.

    Whoever iterates tells when a record is whole with :meth:`accept`, or that it is none with :meth:`reject`; only
    what was so dealt with lies before :meth:`position`. A byte order mark at the start is left out.

    Every error is an :class:`InputError` with the name of the input and the line where the record begins. After one
    about a record the iteration may go on; :attr:`damaged` says that the input itself cannot be read any further.
    """

    def __init__(self, stream: BufferedReader[Any], name: str) -> None:
        self.name = name
        self.damaged = False
        self._stream = stream
        self._record: list[bytes] = []
        self._record_bytes = 0
        self._last: list[bytes] = []
        self._rejected: list[bytes] = []
        self._is_inside_line = False
        self._block: list[bytes] = []
        self._block_accepted = 0
        self._line = 0
        self._byte = 0
        self._hash = blake2b(digest_size=_DIGEST_BYTES)

    def __iter__(self) -> Lines:
        return self

    def __next__(self) -> str:
        if self._is_inside_line:
            self._finish_last()
        line = self._rejected.pop() if self._rejected else self._read_line()
        if not line:
            raise StopIteration
        self._record.append(line)
        self._record_bytes += len(line)
        if self._record_bytes > MAX_RECORD_BYTES:
            raise self._reject_too_long(line)
        return self._decoded(line)

    def _decoded(self, line: bytes) -> str:
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            raise self.reject(f"byte {error.start + 1} of the line is not UTF-8; convert the file to UTF-8") from None
        if "\0" in text:
            raise self.reject("the row holds a NUL byte; the file was cut, or is no text")
        if line.startswith(_BYTE_ORDER_MARK) and self._byte + len(self._last) == 0 and len(self._record) == 1:
            return text[1:]
        return text

    def accept(self) -> int:
        """Take the lines read since the last record as one record, and return the line where it began."""
        first = self._finish_last() + 1
        self._last, self._record = self._record, self._last
        self._record.clear()
        self._record_bytes = 0
        return first

    def reject(self, reason: str) -> InputError:
        """Return the error that the lines read since the last record are none.

        The first of them is done with; the others are read again, for a record may begin with any of them.
        """
        self._rejected += self._record[:0:-1]
        del self._record[1:]
        return InputError(reason, self.name, self.accept())

    def _reject_too_long(self, line: bytes) -> InputError:
        is_inside_line = len(self._record) == 1 and not line.endswith(b"\n")
        error = self.reject(f"the row is longer than {MAX_RECORD_BYTES:,} bytes; is a quote or a line end missing?")
        self._is_inside_line = is_inside_line
        return error

    def read_block(self) -> tuple[str, int] | None:
        """Return further whole lines as one text, and how many lines lie before them; None if there is no block now.

        A block is faster to read than single lines. It is what a buffer of the input holds, and it exists only between
        two records. The caller reports its records with :meth:`accept_block` and ends it with :meth:`end_block` before
        it iterates again.
        """
        if self._rejected or self._record or self._is_inside_line or self._byte + len(self._last) == 0:
            return None
        try:
            buffered = self._stream.peek()
        except (OSError, EOFError, zlib.error) as error:
            self._raise_damaged(error)
        data = buffered[: buffered.rfind(b"\n") + 1]
        if not data or b"\0" in data:
            return None
        try:
            text = data.decode()
        except UnicodeDecodeError:
            return None
        self._stream.read(len(data))
        self._block = BytesIO(data).readlines()
        return text, self._line + len(self._last)

    def accept_block(self, first: int, end: int) -> None:
        """Take the lines of the block up to ``end`` as records, of which the last begins at line ``first`` of it."""
        if end > self._block_accepted:
            self._finish_last()
            self._count(b"".join(self._block[self._block_accepted : first]))
            self._line += first - self._block_accepted
            self._last = self._block[first:end]
            self._block_accepted = end

    def end_block(self) -> None:
        """Leave the block; the lines of it that were not accepted are iterated over."""
        self._rejected += self._block[: self._block_accepted - 1 if self._block_accepted else None : -1]
        self._block = []
        self._block_accepted = 0

    def peek(self) -> bytes:
        """Return the first line without taking it; empty at the end of the input. To be called before any other."""
        line = self._rejected.pop() if self._rejected else self._read_line()
        if line:
            self._rejected.append(line)
        return line

    def position(self) -> Position:
        """Return the place behind the last record, whether it was accepted or rejected."""
        self._finish_last()
        return Position(self._line, self._byte, self._hash.digest())

    def position_before_last(self) -> Position:
        """Return the place before the last record: that which the last error was about, if one was raised since.

        An error that damages the input is about no record; then it is the place behind the last one.
        """
        return Position(self._line, self._byte, self._hash.digest())

    def skip_to(self, position: Position) -> None:
        """Go on to a place that an earlier pass over the same input has reached.

        Raises :class:`InputError` if what lies before it is not what lay before it then.
        """
        self._finish_last()
        remaining = position.byte - self._byte
        while remaining > 0:
            block = self._read(min(remaining, _BLOCK_BYTES))
            if not block:
                break
            self._count(block)
            remaining -= len(block)
        self._line = position.line
        if self.position() != position:
            self.damaged = True
            raise InputError(
                f"the first {position.line:,} lines are not those that were ingested before, so the ingestion cannot "
                "resume behind them; start over without resuming (nothing is stored twice)",
                self.name,
            )

    def _finish_last(self) -> int:
        for line in self._last:
            self._count(line)
        self._line += len(self._last)
        self._last.clear()
        if self._is_inside_line:
            self._is_inside_line = False
            self._skip_rest_of_line()
        return self._line

    def _skip_rest_of_line(self) -> None:
        piece = b"-"
        while piece and not piece.endswith(b"\n"):
            piece = self._read_line()
            self._count(piece)

    def _count(self, data: bytes) -> None:
        self._hash.update(data)
        self._byte += len(data)

    def _read_line(self) -> bytes:
        try:
            return self._stream.readline(MAX_RECORD_BYTES + 1)
        except (OSError, EOFError, zlib.error) as error:
            self._raise_damaged(error)

    def _read(self, count: int) -> bytes:
        try:
            return self._stream.read(count)
        except (OSError, EOFError, zlib.error) as error:
            self._raise_damaged(error)

    def _raise_damaged(self, error: Exception) -> NoReturn:
        self.damaged = True
        line = self._finish_last() + len(self._record) + 1
        if isinstance(error, EOFError):
            reason = "the gzip file ends early; it was cut"
        elif isinstance(error, OSError) and error.errno is not None:
            reason = f"the file cannot be read any further: {error.strerror}"
        else:
            reason = f"the gzip file is damaged: {error}"
        raise InputError(reason, self.name, line) from error
