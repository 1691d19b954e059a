"""Tables in CSV."""

from __future__ import annotations

import csv
from typing import Any

from feedstore.errors import InputError, InvalidValueError
from feedstore.ingest.columns import Columns
from feedstore.ingest.lines import Lines
from feedstore.ingest.table import Table
from feedstore.ingest.values import decode_object

_REASONS = {
    "unexpected end of data": "the row is cut: a quoted field is still open at the end of the file",
    "field larger than field limit": "a field is longer than {limit:,} characters; is a quote missing?",
    "expected after": "a quoted field goes on behind its closing quote; double each quote inside it",
    "new-line character seen": "a carriage return stands inside the row; end rows with LF or CR LF",
}


class CsvTable(Table):
    """RFC 4180 with a header, in UTF-8: the values are texts, and an empty one is None. Empty lines are passed over.

    An error inside a quoted field may have swallowed rows behind it; they are read again on their own.
    """

    def __init__(self, lines: Lines, columns: Columns) -> None:
        super().__init__(lines, columns)
        self._records = csv.reader(lines, strict=True)
        names = self._next_record()
        if names is None:
            raise InputError(f"the file is blank; it begins with the header {','.join(columns.names)}", lines.name)
        try:
            given = columns.resolve(names)
        except InvalidValueError as error:
            raise InputError(str(error), lines.name, self.line) from None
        self._width = len(given)
        self._order = [given.index(name) if name in given else None for name in columns.names]
        self._is_in_order = given == list(columns.names)

    def __next__(self) -> list[Any]:
        record = self._next_record()
        if record is None:
            raise StopIteration
        if len(record) != self._width:
            few_or_many = "few" if len(record) < self._width else "many"
            raise self.error(f"the row has too {few_or_many} fields: {len(record)} instead of {self._width}")
        if self._is_in_order:
            return [value or None for value in record]
        return [(record[index] or None) if index is not None else None for index in self._order]

    def _next_record(self) -> list[str] | None:
        while True:
            try:
                record = next(self._records, None)
            except csv.Error as error:
                raise self.lines.reject(_reason_of(error)) from None
            self.line = self.lines.accept()
            if record is None or record:
                return record

    def read_object(self, value: Any) -> dict[str, Any]:
        """Return what a field of compact JSON holds."""
        return {} if value is None else decode_object(value)


def _reason_of(error: csv.Error) -> str:
    message = str(error)
    for beginning, reason in _REASONS.items():
        if beginning in message:
            return reason.format(limit=csv.field_size_limit())
    return f"the row is no CSV: {message}"
