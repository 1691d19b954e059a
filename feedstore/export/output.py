"""The files of exports, which grow in parts and survive a kill."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any, BinaryIO

from feedstore.errors import InputError, InvalidValueError
from feedstore.shown import shown

_VERSION = 1
_GZIP_ENDING = ".gz"
_OTHER_ENDINGS = {".zst": "zstd", ".bz2": "bzip2", ".xz": "xz", ".zip": "ZIP"}


@dataclass(frozen=True)
class OutputState:
    """The state of an output after a part: its bytes, the numbers of rows, and the position in the source."""

    bytes: int = 0
    rows: int = 0
    skipped: int = 0
    position: str | None = None


class Output:
    """A file that is written in parts. A name that ends with ``.gz`` makes it gzip, with a member for each part.

    A checkpoint, the file with ``.checkpoint`` after the name, holds the state after the last part until the end. So a
    later run can continue after a kill: it cuts the file after that part.

    Args:
        target: The path of the file, or a binary file that is open for writing. An open file has no checkpoint.
        identity: The arguments of the export, which a run that resumes must share.
        resume: Whether to continue an earlier run. Without one, the export begins at the start.
        overwrite: Whether to replace a file that exists.

    Raises:
        InvalidValueError: The file exists, another export began it, or its compression is unknown.
    """

    def __init__(
        self,
        target: str | os.PathLike[str] | BinaryIO,
        identity: dict[str, Any],
        *,
        resume: bool = False,
        overwrite: bool = False,
    ) -> None:
        self.state = OutputState()
        self._identity = identity
        self._stream = None if isinstance(target, (str, os.PathLike)) else target
        self._path = os.fspath(target) if isinstance(target, (str, os.PathLike)) else ""
        self._checkpoint = f"{self._path}.checkpoint"
        self._is_compressed = self._path.lower().endswith(_GZIP_ENDING)
        ending = os.path.splitext(self._path)[1].lower()
        if ending in _OTHER_ENDINGS:
            raise InvalidValueError(f"{_OTHER_ENDINGS[ending]} is not supported; end the name of the file with .gz")
        if self._stream is not None and resume:
            raise InvalidValueError("an open file cannot be resumed; pass the path of a file")
        if self._stream is None:
            self._begin(resume, overwrite)

    def _begin(self, resume: bool, overwrite: bool) -> None:
        if resume and os.path.exists(self._checkpoint):
            self.state = self._read_checkpoint()
        elif os.path.exists(self._path) and not overwrite:
            hint = "; it has no checkpoint, so it is complete or no export" if resume else ""
            raise InvalidValueError(f"the file {shown(self._path)} exists{hint}; pass another name, or overwrite it")

    def _read_checkpoint(self) -> OutputState:
        try:
            with open(self._checkpoint, encoding="utf-8") as file:
                found = json.load(file)
            if found["version"] != _VERSION or found["identity"] != self._identity:
                raise InvalidValueError(
                    f"the export of {shown(self._path)} began with other arguments: {shown(found['identity'], 300)}; "
                    "resume it with the same ones, or overwrite the file"
                )
            return OutputState(**found["state"])
        except (ValueError, KeyError, TypeError) as error:
            if isinstance(error, InvalidValueError):
                raise
            raise InputError(f"the checkpoint cannot be read: {error}", self._checkpoint) from error

    @contextmanager
    def open(self) -> Iterator[None]:
        """Open the file at the end of the parts that it holds; close it at the end of the block."""
        if self._stream is not None:
            yield
            return
        with open(self._path, "r+b" if self.state.bytes else "wb") as self._stream:
            if self._stream.seek(0, os.SEEK_END) < self.state.bytes:
                raise InputError("the file is shorter than its checkpoint says, so it cannot be resumed", self._path)
            self._stream.truncate(self.state.bytes)
            self._stream.seek(self.state.bytes)
            self._record()
            yield

    def write(self, text: str, rows: int, skipped: int, position: str) -> None:
        """Write a part, and record the state after it."""
        self._append(text)
        state = self.state
        self.state = replace(state, rows=state.rows + rows, skipped=state.skipped + skipped, position=position)
        if self._path:
            self._record()

    def _record(self) -> None:
        value = {"version": _VERSION, "identity": self._identity, "state": asdict(self.state)}
        written = f"{self._checkpoint}.new"
        with open(written, "w", encoding="utf-8") as file:
            json.dump(value, file)
            _flush(file)
        os.replace(written, self._checkpoint)

    def finish(self, text: str) -> None:
        """Write the end of the file, and remove the checkpoint."""
        if text:
            self._append(text)
        if self._path:
            os.remove(self._checkpoint)

    def _append(self, text: str) -> None:
        data = text.encode()
        stream: Any = self._stream
        if data:
            written = gzip.compress(data, mtime=0) if self._is_compressed else data
            stream.write(written)
            self.state = replace(self.state, bytes=self.state.bytes + len(written))
        if self._path:
            _flush(stream)


def _flush(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())
