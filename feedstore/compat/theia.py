"""Moving the events of theia's SQL store into a feedstore event store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from feedstore.backends.sql.foreign import ForeignTable
from feedstore.errors import InputError, InvalidEventError
from feedstore.events import BackendEventStore, Event
from feedstore.logs.loader import ImportProgress, ImportReport, digest_of, in_chunks, with_tags
from feedstore.logs.reader import path_text
from feedstore.shown import shown

_TABLE = "events"
_COLUMNS = ("id", "timestamp", "tags", "source", "content", "custom_headers")
_SQLITE = b"SQLite format 3\x00"


def theia_database(argument: str) -> str | Path | None:
    """Return the URL, or the SQLite file, of theia's SQL store that an argument names; None for anything else.

    The argument is a URL of SQLAlchemy, such as ``postgresql://host/theia``, or the path of a SQLite file.
    """
    if "://" in argument:
        return argument
    path = Path(argument)
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return path if file.read(len(_SQLITE)) == _SQLITE else None


def import_theia_table(
    store: BackendEventStore, database: str | Path, tags: tuple[str, ...] = (), *, resume: bool = False
) -> ImportReport:
    """Save the events of the table of theia's SQL store, with further tags, and return the counts.

    Args:
        store: The store, which also keeps the id of the last event while the import runs.
        database: The URL of theia's database, as SQLAlchemy takes it, or the path of its SQLite file.
        tags: Tags of every event, after its own.
        resume: Whether to continue where an earlier import with the same tags was interrupted. A later import reads
            the whole table again, because new events may have any id; it stores nothing twice.

    Raises:
        InputError: The table is not theia's, or a row is no event; the error names its id.
        StorageUnavailableError: theia's database does not answer.
    """
    table = ForeignTable(database, _TABLE, _COLUMNS)
    progress = ImportProgress(store, path_text(table.label), digest_of(_TABLE, tags))
    place = progress.get() if resume else None
    report = ImportReport(files=1, continued=int(place is not None))
    for chunk in in_chunks(_events(table, None if place is None else place[0])):
        report.events += store.save_many(with_tags(chunk, tags))
        progress.keep(chunk[-1].id)
    progress.forget()
    return report


def _events(table: ForeignTable, after: str | None) -> Iterator[Event]:
    for row in table.rows(after):
        yield _event(row, table.label)


def _event(row: tuple[Any, ...], label: str) -> Event:
    own_id, timestamp, tags, source, content, headers = row
    place = f"the event {shown(own_id)}"
    if headers:
        raise InputError(f"{place} has custom_headers, which an event cannot carry; set them to NULL", label)
    if timestamp is None:
        raise InputError(f"{place} has no timestamp", label)
    try:
        # theia writes no tags as an empty str.
        own_tags = [tag for tag in (tags or "").split(",") if tag]
        return Event(own_id, source or "", timestamp, own_tags, content or "")
    except (InvalidEventError, TypeError, AttributeError) as error:
        raise InputError(f"{place} cannot be stored: {error}", label) from None
