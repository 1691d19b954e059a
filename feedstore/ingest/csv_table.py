"""Tables in CSV."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib.util import find_spec, module_from_spec
from typing import Any

from feedstore.errors import InputError, InvalidValueError
from feedstore.ingest.lines import MAX_RECORD_BYTES, InputPosition, Lines
from feedstore.ingest.table import Columns, InputTable
from feedstore.ingest.values import decode_object
from feedstore.shown import shown

_DELIMITERS = (",", ";", "\t")
_BYTE_ORDER_MARK = "\ufeff"
_SHOWN_HEADER_CHARACTERS = 80
_REASONS = {
    "unexpected end of data": "the row is cut: a quoted field is still open at the end of the file",
    "expected after": "a quoted field continues after its closing quote; double each quote inside it",
    "new-line character seen": "the row contains a carriage return; end rows with LF or CR LF",
}


class CsvTable(InputTable):
    """A table in CSV as RFC 4180 describes it, with a header, in UTF-8: each value is a str, or None if it is empty.

    The table skips empty lines. The header decides which character separates the fields: a comma, a semicolon or a tab.
    The table reads rows from blocks of lines. If a block ends inside a row, or if a row is malformed, the table reads
    the lines one by one: a malformed quoted field may contain the rows after it, and the table reads those again.
    """

    def __init__(self, lines: Lines, columns: Columns) -> None:
        super().__init__(lines, columns)
        self._csv = _own_csv_module()
        self._block: Any = None
        self._lines_before_block = 0
        self._lines_before_record = 0
        header = self._first_line()
        # On a tie max takes the first, so a header without any separator counts as separated by commas.
        delimiter = max(_DELIMITERS, key=header.count)
        self._delimiter = delimiter
        self._records = self._csv.reader(lines, delimiter=delimiter, strict=True)
        try:
            given = columns.resolve(self._next_iterated() or [])
        except InvalidValueError as error:
            found = shown(header.rstrip("\r\n"), _SHOWN_HEADER_CHARACTERS)
            raise InputError(f"{error}; the header that was found is {found}", lines.name, self.line) from None
        self._width = len(given)
        self._order = [given.index(name) if name in given else None for name in columns.names]
        self._is_in_order = given == list(columns.names)

    def __iter__(self) -> Iterator[list[Any]]:
        """Yield the rows after the last one that was read. For most rows this is faster than :meth:`__next__`."""
        while True:
            if self._block or self._begin_block():
                yield from self._rows_of_block()
                self._end_block()
            record = self._next_iterated()
            if record is None:
                return
            yield self._values_of(record)

    def _rows_of_block(self) -> Iterator[list[Any]]:
        """Yield the next rows of the block, until it ends or a row is malformed."""
        block = self._block
        self._lines_before_record = block.line_num
        with suppress(self._csv.Error):
            for record in block:
                if record:
                    yield self._values_of(record)
                self._lines_before_record = block.line_num

    def __next__(self) -> list[Any]:
        return next(iter(self))

    def _values_of(self, record: list[str]) -> list[Any]:
        if len(record) != self._width:
            few_or_many = "few" if len(record) < self._width else "many"
            raise self.error(f"the row has too {few_or_many} fields: {len(record)} instead of {self._width}")
        if self._is_in_order:
            return [value or None for value in record] if "" in record else record
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
        raise InputError(f"the file holds blank lines only; begin it with the header {header}", self.lines.name)

    def _begin_block(self) -> Any:
        """Return a reader of a block, or None if there is no block now."""
        found = self.lines.read_block()
        if found is not None:
            text, self._lines_before_block = found
            self._lines_before_record = 0
            self._block = self._csv.reader(io.StringIO(text, newline="\n"), delimiter=self._delimiter, strict=True)
        return self._block

    def read_columns(self) -> list[Sequence[str]] | None:
        """Return the values of the rows of a block, if all have the right number of fields and none of them is wrong.

        A block is read in C, several times as fast as row by row.
        """
        block = None if self._block else self._begin_block()
        if block is None:
            return None
        try:
            records = list(block)
            columns = list(zip(*records, strict=True))
        except (ValueError, self._csv.Error):
            columns = []
        if len(columns) != self._width or block.line_num != len(records):
            self._end_block()
            return None
        self._lines_before_record = len(records)
        self._end_block()
        return [columns[index] if index is not None else () for index in self._order]

    def line_of(self, row: int) -> int:
        """Return the line of a row that :meth:`read_columns` returned last, by its number from 0."""
        return self._lines_before_block + row + 1

    def _accept_block(self) -> None:
        if self._block is not None:
            self.lines.accept_block(self._lines_before_record, self._block.line_num)

    def _end_block(self) -> None:
        self.lines.accept_block(self._lines_before_record, self._lines_before_record)
        self.lines.end_block()
        self._block = None

    def position(self) -> InputPosition:
        """Return the place after the last row."""
        self._accept_block()
        return super().position()

    def position_before_last(self) -> InputPosition:
        """Return the place before the last row."""
        self._accept_block()
        return super().position_before_last()

    def error(self, reason: str) -> InputError:
        """Return the error for the last row, with its line."""
        if self._block is not None:
            self.line = self._lines_before_block + self._lines_before_record + 1
        return super().error(reason)

    def _next_iterated(self) -> list[str] | None:
        while True:
            try:
                record: list[str] | None = next(self._records, None)
            except self._csv.Error as error:
                raise self.lines.reject(_reason_of(error)) from None
            self.line = self.lines.accept()
            if record is None or record:
                return record

    def read_object(self, value: Any) -> dict[str, Any]:
        """Return the object that a field of compact JSON holds; for None, an empty one."""
        return {} if value is None else decode_object(value)


def _own_csv_module() -> Any:
    """Return a separate instance of the C module of ``csv``, whose limit on the size of fields admits every row.

    The limit belongs to the module, not to the reader. The limit of the shared module ``csv`` holds for the whole
    process, so this function leaves it unchanged.
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
    return f"the row is not CSV: {message}"
