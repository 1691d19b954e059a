"""Storing the events of files."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from operator import itemgetter
from typing import Any, BinaryIO, TypeVar

from feedstore.errors import InputError
from feedstore.events import BackendEventStore, Event
from feedstore.logs.reader import LogOptions, LogReader, open_log, written_at
from feedstore.logs.tail import POSITIONS, head_hash, key_of
from feedstore.logs.theia import read_theia_from

_Item = TypeVar("_Item")
_EVENTS_A_STEP = 5000
"""The number of events after which the position in a file is stored."""
_CHARACTERS_A_STEP = 10_000_000
"""The number of characters after which it is stored, because the events of a step are in memory together."""
_HEAD_BYTES = 256


@dataclass
class ImportReport:
    """The result of an import.

    Attributes:
        files: The number of files that were read.
        events: The number of events that were saved.
        malformed: The number of lines that are not in the format that was asked for; each is an event as it is.
        continued: The number of files of which an earlier import had saved events, which this one did not read again.
    """

    files: int = 0
    events: int = 0
    malformed: int = 0
    continued: int = 0

    def __add__(self, other: ImportReport) -> ImportReport:
        return ImportReport(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))


def import_logs(
    store: BackendEventStore, paths: Iterable[str], options: LogOptions, *, resume: bool = False
) -> ImportReport:
    """Save the events of log files, and return the counts.

    A file that is imported again gives the same ids, so an import that failed can be repeated: it stores nothing twice.

    Args:
        store: The store, which also keeps the position in each file.
        paths: The files.
        options: How lines become events.
        resume: Whether to continue each file where an earlier import with the same options stopped, if the file begins
            with the same bytes. A file that was read to its end is read from there.
    """
    report = ImportReport()
    for path in paths:
        with _opened(path) as file:
            progress = ImportProgress(store, key_of(path), _digest_of(options), file.read(_HEAD_BYTES))
            place = progress.find(file) if resume else None
            position, last_time = (0, None) if place is None else place
            reader = LogReader(path, options, position, written=written_at(path), last_time=last_time)
            report.continued += position > 0
            for chunk in in_chunks(reader.read(file, final=True)):
                report.events += store.save_many(chunk)
                progress.keep(reader.resume_position, reader.last_time)
        report.malformed += reader.malformed
        report.files += 1
    return report


def import_theia(
    store: BackendEventStore, paths: Iterable[str], tags: tuple[str, ...] = (), *, resume: bool = False
) -> ImportReport:
    """Save the events of theia's data files, with further tags, and return the counts; see :func:`import_logs`."""
    report = ImportReport()
    for path in paths:
        with _opened(path) as file:
            progress = ImportProgress(store, key_of(path), digest_of("theia", tags), file.read(_HEAD_BYTES))
            place = progress.find(file) if resume else None
            position = 0 if place is None else place[0]
            report.continued += position > 0
            for chunk in in_chunks(read_theia_from(file, position, path), itemgetter(1)):
                report.events += store.save_many(with_tags((event for _, event in chunk), tags))
                progress.keep(chunk[-1][0])
        report.files += 1
    return report


class ImportProgress:
    """The position in one source up to which its events are saved, in the key-value storage of positions.

    Args:
        store: The store of the events.
        name: The name of the source.
        digest: A hash of the options; a position belongs to an import with the same ones.
        head: The first bytes of the source.
    """

    def __init__(self, store: BackendEventStore, name: str, digest: str, head: bytes = b"") -> None:
        self._positions = store.backend.kv_storage(POSITIONS)
        self._key = f"import:{name}"
        self._digest = digest
        self._head = head

    def get(self) -> tuple[Any, Any] | None:
        """Return the position and the time of the last line, or None if there is none for these options."""
        found = self._positions.get(self._key)
        if found is None or found[0] != self._digest:
            return None
        _, head_bytes, head, position, last_time = found
        return (position, last_time) if head_hash(self._head[:head_bytes]) == head else None

    def find(self, file: BinaryIO) -> tuple[int, float | None] | None:
        """Return the position in a file that is as long, and the time of the last line, or None."""
        place = self.get()
        if place is None:
            return None
        file.seek(max(place[0] - 1, 0))
        return place if file.read(1) else None

    def keep(self, position: Any, last_time: float | None = None) -> None:
        """Store a position, after the events before it."""
        self._positions.upsert(self._key, [self._digest, len(self._head), head_hash(self._head), position, last_time])

    def forget(self) -> None:
        """Delete the position."""
        self._positions.delete(self._key)


def digest_of(*options: object) -> str:
    """Return a hash of options that does not differ between processes."""
    return head_hash(json.dumps(options).encode())


def _digest_of(options: LogOptions) -> str:
    return digest_of(
        getattr(options.format, "__qualname__", ""),
        options.source,
        options.tags,
        options.encoding,
        str(options.zone),
        getattr(options.block_start, "pattern", None),
    )


def in_chunks(items: Iterator[_Item], event_of: Callable[[Any], Event] = lambda event: event) -> Iterator[list[_Item]]:
    """Yield chunks of events, or of items that hold one each.

    A chunk has 5,000 events at most, and fewer if they have ten million characters. If the iterator fails, the items
    before the failure are a chunk too.
    """
    is_over = False
    while not is_over:
        chunk: list[_Item] = []
        size = 0
        try:
            for item in items:
                chunk.append(item)
                size += len(event_of(item).content)
                if len(chunk) == _EVENTS_A_STEP or size >= _CHARACTERS_A_STEP:
                    break
            else:
                is_over = True
        finally:
            if chunk:
                yield chunk


@contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    try:
        with open_log(path) as file:
            yield file
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"the compressed file is damaged: {error}", path) from error


def with_tags(events: Iterable[Event], tags: tuple[str, ...]) -> Iterator[Event]:
    """Yield events with further tags."""
    for event in events:
        yield Event(event.id, event.source, event.timestamp, (*event.tags, *tags), event.content) if tags else event
