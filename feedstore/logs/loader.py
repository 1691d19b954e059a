"""Storing the events of files."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from feedstore.errors import InputError
from feedstore.events import Event, EventStore
from feedstore.logs.reader import LogOptions, LogReader, open_log, written_at
from feedstore.logs.theia import read_theia


@dataclass
class ImportReport:
    """The result of an import.

    Attributes:
        files: The number of files that were read.
        events: The number of events that were saved.
        malformed: The number of lines that are not in the format that was asked for; each is an event as it is.
    """

    files: int = 0
    events: int = 0
    malformed: int = 0


def import_logs(store: EventStore, paths: Iterable[str], options: LogOptions) -> ImportReport:
    """Save the events of log files, and return the counts.

    A file that is imported again gives the same ids, so an import that failed can be repeated: it stores nothing twice.
    """
    report = ImportReport()
    for path in paths:
        reader = LogReader(path, options, written=written_at(path))
        with _opened(path) as file:
            report.events += store.save_many(reader.read(file, final=True))
        report.malformed += reader.malformed
        report.files += 1
    return report


def import_theia(store: EventStore, paths: Iterable[str], tags: tuple[str, ...] = ()) -> ImportReport:
    """Save the events of theia's data files, with further tags, and return the counts."""
    report = ImportReport()
    for path in paths:
        with _opened(path) as file:
            report.events += store.save_many(_tagged(read_theia(file, path), tags))
        report.files += 1
    return report


@contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    try:
        with open_log(path) as file:
            yield file
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"the compressed file is damaged: {error}", path) from error


def _tagged(events: Iterable[Event], tags: tuple[str, ...]) -> Iterator[Event]:
    for event in events:
        yield Event(event.id, event.source, event.timestamp, (*event.tags, *tags), event.content) if tags else event
