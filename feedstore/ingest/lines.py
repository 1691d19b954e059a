"""The physical lines of an input, and the position between its records."""

from __future__ import annotations

import zlib
from hashlib import blake2b
from io import BufferedReader, BytesIO
from typing import Any, NamedTuple, NoReturn

from feedstore.errors import InputError

MAX_RECORD_BYTES = 1 << 20
"""The limit on the bytes of one record; a longer record means a missing quote or line end, or another kind of file."""

_BLOCK_BYTES = 1 << 20
_DIGEST_BYTES = 16
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class InputPosition(NamedTuple):
    """A place between two records: how many lines and bytes lie before it, and a digest of those bytes."""

    line: int
    byte: int
    digest: bytes


class Lines:
    """An iterator over the lines of a byte stream, decoded from UTF-8, in bounded memory.

    The caller ends each record with :meth:`accept`, or with :meth:`reject` if it is malformed; :meth:`position` lies
    after the last record that was ended so. The iterator leaves out a byte order mark at the start.

    Every error is an :class:`InputError` with the name of the input and the line where the record begins. After an
    error in a record, the caller may continue to iterate. If :attr:`damaged` is true, the input cannot be read further.
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
            raise self.reject("the row contains a NUL byte; the file was cut, or is binary")
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
        """Reject the lines read since the last record, and return the error to raise.

        The first of these lines is not read again. The iterator returns the others again, because a record may begin
        with any of them.
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
        """Return further whole lines as one str, and the number of lines before them; None if there is no block now.

        A block is faster to read than single lines. It consists of the whole lines in the input's buffer, and it exists
        only between two records. The caller reports its records with :meth:`accept_block` and ends it with
        :meth:`end_block` before it iterates again.
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
        """Accept the lines of the block up to ``end`` as records, the last of which begins at line ``first``."""
        if end > self._block_accepted:
            self._finish_last()
            self._count(b"".join(self._block[self._block_accepted : first]))
            self._line += first - self._block_accepted
            self._last = self._block[first:end]
            self._block_accepted = end

    def end_block(self) -> None:
        """Leave the block; the iterator returns those of its lines that were not accepted."""
        self._rejected += self._block[: self._block_accepted - 1 if self._block_accepted else None : -1]
        self._block = []
        self._block_accepted = 0

    def peek(self) -> bytes:
        """Return the first line without consuming it; empty at the end of the input. Call it before other methods."""
        line = self._rejected.pop() if self._rejected else self._read_line()
        if line:
            self._rejected.append(line)
        return line

    def read_rest(self, most: int) -> str:
        """Return all further lines as one str, for the caller to :meth:`accept` as one record.

        Call it between two records.

        Raises:
            InputError: They have more than ``most`` bytes, or are not UTF-8. The input cannot be read further.
        """
        pieces = self._rejected[::-1]
        self._rejected.clear()
        size = sum(map(len, pieces))
        while size <= most and (piece := self._read(_BLOCK_BYTES)):
            pieces.append(piece)
            size += len(piece)
        data = b"".join(pieces)
        self._record = BytesIO(data).readlines()
        try:
            if size <= most:
                return data.removeprefix(_BYTE_ORDER_MARK).decode()
            reason = f"the document is longer than {most:,} bytes; write one document on each line (NDJSON)"
        except UnicodeDecodeError as error:
            reason = f"byte {error.start + 1} is not UTF-8; convert the file to UTF-8"
        self.damaged = True
        raise InputError(reason, self.name)

    def position(self) -> InputPosition:
        """Return the place after the last record, whether it was accepted or rejected."""
        self._finish_last()
        return InputPosition(self._line, self._byte, self._hash.digest())

    def position_before_last(self) -> InputPosition:
        """Return the place before the last record, which is the record of the last error if one was raised since.

        If the input itself is damaged, the error concerns no record, and this is the place after the last record.
        """
        return InputPosition(self._line, self._byte, self._hash.digest())

    def skip_to(self, position: InputPosition) -> None:
        """Skip to a position that an earlier pass over the same input has reached.

        Raises:
            InputError: The bytes before the position are not those of the earlier pass.
        """
        self._finish_last()
        remaining = position.byte - self._byte
        while remaining > 0:
            # A caller may have peeked at the first line.
            block = self._rejected.pop() if self._rejected else self._read(min(remaining, _BLOCK_BYTES))
            if not block:
                break
            self._count(block)
            remaining -= len(block)
        self._line = position.line
        if self.position() != position:
            self.damaged = True
            raise InputError(
                f"the first {position.line:,} lines are not those that were ingested before, so the ingestion cannot "
                "resume after them; start over without resuming (nothing is stored twice)",
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
