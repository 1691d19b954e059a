"""Inputs of activities in every format: rows under either set of columns, and ActivityStreams 2.0 documents."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from feedstore.activity import Activity
from feedstore.errors import FeedstoreError, InvalidValueError
from feedstore.ingest.formats import (
    AS2,
    AUTO,
    CSV,
    INPUT_FORMATS,
    NdjsonTable,
    checked_first_line,
    is_ndjson,
    read_table,
    start_of,
)
from feedstore.ingest.lines import InputPosition, Lines
from feedstore.ingest.rows import (
    ACTIVITY_COLUMNS,
    EXPORTED_COLUMNS,
    ActivityReader,
    DocumentReader,
    ExportedReader,
)
from feedstore.ingest.table import Columns
from feedstore.interchange import activities_from_as2
from feedstore.plain_values import DEEPEST
from feedstore.shown import shown

MAX_DOCUMENT_BYTES = 64 << 20
"""The most bytes of an ActivityStreams document that is not on a line of its own."""
_DOCUMENT_ENDINGS = (".json", ".jsonld", ".json.gz", ".jsonld.gz")
_OF_DOCUMENTS = frozenset({"@context", "type", "@type"})
_OF_EXPORTS = frozenset({"foreign_id", "extra_context"})
# A level of a plain value may take three levels of its tagged form.
_MAX_DEPTH = 3 * DEEPEST
_SEPARATORS = re.compile(r"[,;\t]")


def read_activities(lines: Lines, max_future: timedelta, format: str = AUTO, base: str | None = None) -> ActivityReader:
    """Return the activities of an input.

    Args:
        lines: the input.
        max_future: the longest time that an activity may lie ahead of the clock.
        format: ``"auto"``, ``"csv"``, ``"ndjson"`` or ``"as2"``. ``"auto"`` takes the first line for ActivityStreams if
            it is an object with a type or a context. It takes the whole input for one document if its name ends with
            ``.json`` or ``.jsonld``, and the first line is no object.
        base: the beginning of the IRIs of names in ActivityStreams documents, as :func:`~feedstore.interchange.to_as2`
            takes it.
    """
    if format not in INPUT_FORMATS:
        raise InvalidValueError(f"format is {shown(format)}; pass one of {', '.join(INPUT_FORMATS)}")
    first = checked_first_line(lines, ACTIVITY_COLUMNS)
    names = _names_of(first, lines.name, format)
    is_whole = not names and lines.name.lower().endswith(_DOCUMENT_ENDINGS)
    if format == AS2 or (format == AUTO and (is_whole or names & _OF_DOCUMENTS)):
        return DocumentReader(DocumentTable(lines, base, is_whole=not names), max_future)
    if names & _OF_EXPORTS:
        return ExportedReader(read_table(lines, EXPORTED_COLUMNS, format, _MAX_DEPTH), max_future)
    return ActivityReader(read_table(lines, ACTIVITY_COLUMNS, format), max_future)


class DocumentTable(NdjsonTable):
    """The activities of ActivityStreams documents, one in each row.

    Each line is a document, such as an activity or a collection, or the whole input is one. While the table holds
    activities of a document, its position is that before the document.
    """

    def __init__(self, lines: Lines, base: str | None, is_whole: bool) -> None:
        super().__init__(lines, Columns(()))
        self._base = base
        self._is_whole = is_whole
        self._found: deque[Activity | FeedstoreError] = deque()

    def __next__(self) -> list[Any]:
        while not self._found:
            self._found.extend(self._found_in(self._next_document()))
        found = self._found.popleft()
        if isinstance(found, FeedstoreError):
            raise self.error(str(found))
        return [found]

    def position(self) -> InputPosition:
        """Return the place after the last document of which no activity waits."""
        return self.position_before_last() if self._found else super().position()

    def _next_document(self) -> str:
        while True:
            text = self.lines.read_rest(MAX_DOCUMENT_BYTES) if self._is_whole else next(self.lines)
            if self._is_whole and not text:
                raise StopIteration
            self.line = self.lines.accept()
            if not text.isspace():
                return text

    def _found_in(self, text: str) -> Iterator[Activity | FeedstoreError]:
        """Yield the activities of a document, and the errors of its members that are none."""
        errors: list[FeedstoreError] = []
        try:
            for activity in activities_from_as2(text, base=self._base, on_error=errors.append):
                yield from errors
                errors.clear()
                yield activity
        except FeedstoreError as error:
            errors.append(error)
        yield from errors


def _names_of(first: bytes, name: str, format: str) -> frozenset[str]:
    """Return the names in the first line of an input: those of its object, or of its header."""
    text = start_of(first).decode(errors="replace")
    if format == CSV or (format == AUTO and not is_ndjson(first, name)):
        return frozenset(one.strip().strip('"').lower() for one in _SEPARATORS.split(text))
    try:
        row = json.loads(text)
    except (ValueError, RecursionError):
        return frozenset()
    return frozenset(row) if isinstance(row, dict) else frozenset()
