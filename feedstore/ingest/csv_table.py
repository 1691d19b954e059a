"""Tables in CSV."""

from __future__ import annotations

from importlib.util import find_spec, module_from_spec
from typing import Any

from feedstore.errors import InputError, InvalidValueError
from feedstore.ingest.columns import Columns
from feedstore.ingest.lines import MAX_RECORD_BYTES, Lines
from feedstore.ingest.table import Table
from feedstore.ingest.values import decode_object
from feedstore.shown import shown

_DELIMITERS = (",", ";", "\t")
_BYTE_ORDER_MARK = "\ufeff"
_SHOWN_HEADER_CHARACTERS = 80
_REASONS = {
    "unexpected end of data": "the row is cut: a quoted field is still open at the end of the file",
    "expected after": "a quoted field goes on behind its closing quote; double each quote inside it",
    "new-line character seen": "a carriage return stands inside the row; end rows with LF or CR LF",
}


class CsvTable(Table):
    """RFC 4180 with a header, in UTF-8: the values are texts, and an empty one is None. Empty lines are passed over.

    The header decides what separates the fields of all rows: a comma, a semicolon or a tab.

    An error inside a quoted field may have swallowed rows behind it; they are read again on their own.
    """

    def __init__(self, lines: Lines, columns: Columns) -> None:
        super().__init__(lines, columns)
        self._csv = _own_csv_module()
        header = self._first_line()
        # On a tie max takes the first: a header without any separator is read as one with commas.
        delimiter = max(_DELIMITERS, key=header.count)
        self._records = self._csv.reader(lines, delimiter=delimiter, strict=True)
        try:
            given = columns.resolve(self._next_record() or [])
        except InvalidValueError as error:
            found = shown(header.rstrip("\r\n"), _SHOWN_HEADER_CHARACTERS)
            raise InputError(f"{error}; the header that was found is {found}", lines.name, self.line) from None
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

    def _first_line(self) -> str:
        """Return the first line that is not blank without taking it."""
        while first := self.lines.peek():
            line = first.decode(errors="replace").lstrip(_BYTE_ORDER_MARK)
            if line.strip():
                return line
            next(self.lines)
            self.lines.accept()
        header = ",".join(self.columns.names)
        raise InputError(f"the file is blank; it begins with the header {header}", self.lines.name)

    def _next_record(self) -> list[str] | None:
        while True:
            try:
                record: list[str] | None = next(self._records, None)
            except self._csv.Error as error:
                raise self.lines.reject(_reason_of(error)) from None
            self.line = self.lines.accept()
            if record is None or record:
                return record

    def read_object(self, value: Any) -> dict[str, Any]:
        """Return what a field of compact JSON holds."""
        return {} if value is None else decode_object(value)


def _own_csv_module() -> Any:
    """Return an instance of the module behind ``csv`` whose limit on fields lets every row through.

    The limit belongs to a module and not to a reader. That of ``csv`` is the whole process's, so it stays as it is.
    """
    specification = find_spec("_csv")
    if specification is None or specification.loader is None:
        raise ImportError("this Python has no module _csv")
    module: Any = module_from_spec(specification)
    specification.loader.exec_module(module)
    module.field_size_limit(MAX_RECORD_BYTES)
    return module


def _reason_of(error: Exception) -> str:
    message = str(error)
    for beginning, reason in _REASONS.items():
        if beginning in message:
            return reason
    return f"the row is no CSV: {message}"
