"""The formats of inputs: their detection, and tables in NDJSON."""

from __future__ import annotations

import re
from typing import Any

from feedstore.errors import InputError, InvalidValueError
from feedstore.ingest.csv_table import CsvTable
from feedstore.ingest.lines import Lines
from feedstore.ingest.table import Columns, InputTable
from feedstore.ingest.values import MAX_DEPTH, decode_object
from feedstore.shown import shown

AUTO, CSV, NDJSON, AS2 = "auto", "csv", "ndjson", "as2"
INPUT_FORMATS = (AUTO, CSV, NDJSON, AS2)
"""The formats of an input of activities; ``auto`` detects the format."""
_NDJSON_ENDINGS = (".ndjson", ".jsonl", ".ndjson.gz", ".jsonl.gz")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_BINARY = {
    b"PK\x03\x04": "a ZIP archive, as .xlsx and .ods files are; export the table as CSV in UTF-8",
    b"BZh": "compressed with bzip2; decompress it, or compress it with gzip",
    b"\xfd7zXZ\x00": "compressed with xz; decompress it, or compress it with gzip",
    b"\x28\xb5\x2f\xfd": "compressed with zstd; decompress it, or compress it with gzip",
    b"\x1f\x8b": "compressed with gzip twice; decompress it once",
    b"PAR1": "a Parquet file; export it as CSV or NDJSON",
    b"SQLite format 3\x00": "a SQLite database; export a table of it as CSV or NDJSON",
}
# The first line of CSV or NDJSON contains none of these control characters, and UTF-8 begins with none of these bytes.
_NOT_IN_TEXT = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]|\A[\x80-\xc1\xf8-\xff]")


class NdjsonTable(InputTable):
    """One JSON object on each line, in UTF-8, with the columns as its names; null stands for empty.

    Values keep their JSON types. The table skips empty lines. ``max_depth`` is the most levels of a row.
    """

    def __init__(self, lines: Lines, columns: Columns, max_depth: int = MAX_DEPTH) -> None:
        super().__init__(lines, columns)
        self._max_depth = max_depth

    def __next__(self) -> list[Any]:
        while True:
            text = next(self.lines)
            self.line = self.lines.accept()
            if not text.isspace():
                return self._values_of(text)

    def _values_of(self, text: str) -> list[Any]:
        names = self.columns.names
        try:
            row = decode_object(text.strip(), self._max_depth)
            if tuple(row) != names:
                row = dict(zip(self.columns.resolve(list(row)), row.values(), strict=True))
        except InvalidValueError as error:
            hint = "; NDJSON has one whole object on each line" if text.strip() == "{" else ""
            raise self.error(f"{error}{hint}") from None
        return [None if row.get(name) == "" else row.get(name) for name in names]

    def read_object(self, value: Any) -> dict[str, Any]:
        """Return the object itself."""
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise InvalidValueError(f'{shown(value)} is not a JSON object; write it as in {{"name":1}}')
        return value


def is_ndjson(first: bytes, name: str) -> bool:
    """Return whether an input is NDJSON by its first line, or by its name."""
    return start_of(first).startswith(b"{") or name.lower().endswith(_NDJSON_ENDINGS)


def start_of(first: bytes) -> bytes:
    """Return the first line of an input from its first character on."""
    return first.removeprefix(_BYTE_ORDER_MARK).lstrip()


def checked_first_line(lines: Lines, columns: Columns) -> bytes:
    """Return the first line of an input without consuming it.

    Raises:
        InputError: The input is empty or binary. The error names the columns.
    """
    first = lines.peek()
    if not first:
        header = ",".join(columns.names)
        raise InputError(f"the file is empty; it should hold CSV with the header {header}, or NDJSON", lines.name)
    _refuse_binary(first, lines.name)
    return first


def read_table(lines: Lines, columns: Columns, format: str = AUTO, max_depth: int = MAX_DEPTH) -> InputTable:
    """Return the table of an input in CSV or NDJSON.

    Args:
        lines: the input.
        columns: the columns of the table.
        format: ``"csv"``, ``"ndjson"``, or ``"auto"``: NDJSON if the input starts with ``{`` or if its name ends so,
            else CSV.
        max_depth: the most levels of a row in NDJSON.

    Raises:
        InputError: The input is empty or binary, a JSON array, or CSV with a header without the columns.
    """
    first = checked_first_line(lines, columns)
    if start_of(first).startswith(b"["):
        raise InputError(
            "the file begins with [ as a JSON array does; write NDJSON, one object on each line without a comma after "
            "it, as `jq -c '.[]' FILE` does",
            lines.name,
        )
    if format == NDJSON or (format == AUTO and is_ndjson(first, lines.name)):
        return NdjsonTable(lines, columns, max_depth)
    return CsvTable(lines, columns)


def _refuse_binary(first: bytes, name: str) -> None:
    for beginning, kind in _BINARY.items():
        if first.startswith(beginning):
            raise InputError(f"the file is {kind}", name)
    if first.startswith(_UTF_16_MARKS):
        raise InputError("the file is in UTF-16; convert it to UTF-8, as `iconv -f utf-16 -t utf-8 FILE` does", name)
    found = _NOT_IN_TEXT.search(first)
    if found is not None:
        raise InputError(
            f"the file is binary: byte {found.start() + 1} is 0x{found[0][0]:02X}; pass CSV or NDJSON in UTF-8, plain "
            "or compressed with gzip",
            name,
        )
