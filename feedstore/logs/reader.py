"""Reading the events of a log file, from any position on."""

from __future__ import annotations

import gzip
import os
from collections.abc import Generator, Iterable, Iterator
from dataclasses import InitVar, dataclass, field
from datetime import datetime, timezone, tzinfo
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO

from feedstore.errors import InputError, InvalidEventError, InvalidValueError
from feedstore.events import Event
from feedstore.events.pattern import Pattern
from feedstore.logs.formats import Format, Record, read_any, read_plain
from feedstore.logs.times import LineTimes
from feedstore.shown import shown

MOST_BYTES = 1 << 20
"""The longest line, and the longest block; a longer one becomes several events."""
_READ_BYTES = 1 << 18
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class LogOptions:
    """Options of turning log files into events.

    Args:
        format: The function that reads a line or a block.
        source: The source of the events; None stands for the path of the file.
        tags: The tags of every event, before those of its line.
        encoding: The encoding of the files, an extension of ASCII. Bytes that it cannot decode are replaced.
        zone: The timezone of times that do not name theirs.
        block_start: A pattern; a line that it matches begins an event, and other lines continue it. None: each line is
            an event.
    """

    format: Format = read_any
    source: str | None = None
    tags: tuple[str, ...] = ()
    encoding: str = "utf-8"
    zone: tzinfo = timezone.utc
    block_start: Pattern[str] | None = None

    def __post_init__(self) -> None:
        try:
            is_ascii = "\n a{".encode(self.encoding) == b"\n a{"
        except LookupError:
            raise InvalidValueError(f"the encoding {shown(self.encoding)} is not known") from None
        if not is_ascii:
            raise InvalidValueError(f"the encoding {shown(self.encoding)} is no extension of ASCII; convert the file")


@dataclass
class LogReader:
    """Turns the bytes of one file into events.

    The id of an event consists of the absolute path, the position of the line and a hash of its bytes. So a file that
    is read again gives the same ids, the lines of one second keep their order, and the other lines of a new file at
    the same path get other ids.

    Attributes:
        position: The position of the first byte that belongs to no returned event.
        malformed: The number of lines that are not in the format; each became an event as it is.
        last_time: The last time that a line had, which is also the time of the lines without one after it.
    """

    path: str
    options: LogOptions
    position: int = 0
    written: InitVar[datetime | None] = None
    malformed: int = 0
    last_time: float | None = None
    _last_start: int = 0
    _is_unfinished: bool = False
    _pending: bytes = b""
    _block: list[bytes] = field(default_factory=list)
    _block_bytes: int = 0

    def __post_init__(self, written: datetime | None) -> None:
        self._times = LineTimes(self.options.zone, written)
        self._name = path_text(self.path)
        self._id_prefix = path_text(os.path.abspath(self.path))

    @property
    def end(self) -> int:
        """The position after the last byte that was read."""
        return self.position + self._block_bytes + len(self._pending)

    @property
    def resume_position(self) -> int:
        """The position where a later import goes on: before a line without its end, or its block, which may grow."""
        return self._last_start if self._is_unfinished else self.position

    def read(self, file: BinaryIO, final: bool = False) -> Iterator[Event]:
        """Yield the events of the bytes after :attr:`end`. A line without its end waits, unless ``final``."""
        file.seek(self.end)
        while data := file.read(_READ_BYTES):
            yield from self._feed(data)
        if final:
            yield from self.finish()

    def finish(self) -> Iterator[Event]:
        """Yield the event of the line and the block that wait for their end."""
        if self._pending:
            self._is_unfinished = True
            line, self._pending = self._pending, b""
            yield from self._line(line)
        yield from self.end_block()

    def set_written(self, written: datetime) -> None:
        """Set the time of the file's last change, which lines without a time or without a year refer to."""
        self._times.written = written

    def _feed(self, data: bytes) -> Iterator[Event]:
        *lines, rest = (self._pending + data).split(b"\n")
        self._pending = b""
        for line in lines:
            last = yield from self._pieces(line + b"\n")
            yield from self._line(last)
        self._pending = yield from self._pieces(rest)

    def _pieces(self, line: bytes) -> Generator[Event, None, bytes]:
        """Yield the events of a line's pieces of :data:`MOST_BYTES`, and return its last piece."""
        start = 0
        while len(line) - start > MOST_BYTES:
            yield from self._line(line[start : start + MOST_BYTES])
            start += MOST_BYTES
        return line[start:] if start else line

    def _line(self, line: bytes) -> Iterator[Event]:
        start = self.options.block_start
        if start is None or start.search(self._decoded(line)) or self._block_bytes + len(line) > MOST_BYTES:
            yield from self.end_block()
        self._block.append(line)
        self._block_bytes += len(line)
        if start is None:
            yield from self.end_block()

    def end_block(self) -> Iterator[Event]:
        """Yield the event of the block that waits for its end."""
        if not self._block:
            return
        data, self._block, self._block_bytes = b"".join(self._block), [], 0
        self._last_start, self.position = self.position, self.position + len(data)
        text = self._decoded(data)
        if text.strip():
            digest = blake2b(data, digest_size=8).hexdigest()
            yield self._event(text, f"{self._id_prefix}:{self._last_start:012}:{digest}")

    def _decoded(self, data: bytes) -> str:
        return data.decode(self.options.encoding, "replace").rstrip("\r\n")

    def _event(self, text: str, own_id: str) -> Event:
        try:
            event = self._event_of(self.options.format(text, self._times), own_id)
        except (InputError, InvalidEventError):
            self.malformed += 1
            event = self._event_of(read_plain(text, self._times), own_id)
        return event

    def _event_of(self, record: Record, own_id: str) -> Event:
        # A line without a time belongs to the line before it.
        last = self.last_time if record.timestamp is None else record.timestamp
        timestamp = self._times.written.timestamp() if last is None else last
        source = self.options.source or self._name
        event = Event(record.id or own_id, source, timestamp, (*self.options.tags, *record.tags), record.content)
        self.last_time = last
        return event


def open_log(path: str) -> BinaryIO:
    """Open a log file, which may be compressed with gzip."""
    file = open(path, "rb")  # noqa: SIM115 - the caller closes it
    if file.read(2) == _GZIP:
        file.close()
        return gzip.open(path, "rb")  # type: ignore[return-value]
    file.seek(0)
    return file


def written_at(path: str) -> datetime:
    """Return the time of the last change of a file."""
    return datetime.fromtimestamp(Path(path).stat().st_mtime, timezone.utc)


def files_in(paths: Iterable[str]) -> list[str]:
    """Return the files among paths, and those in the folders among them, sorted within each folder.

    Raises:
        FileNotFoundError: A path does not exist.
    """
    found: list[str] = []
    for path in map(Path, paths):
        if path.is_dir():
            found += sorted(str(each) for each in path.rglob("*") if each.is_file())
        else:
            path.stat()
            found.append(str(path))
    return list(dict.fromkeys(found))


def path_text(path: str) -> str:
    """Return a path as a str that can be stored, also if its bytes are not UTF-8."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
