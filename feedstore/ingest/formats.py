"""The formats of inputs, told apart by what they hold."""

from __future__ import annotations

from feedstore.errors import InputError
from feedstore.ingest.columns import Columns
from feedstore.ingest.csv_table import CsvTable
from feedstore.ingest.lines import Lines
from feedstore.ingest.ndjson_table import NdjsonTable
from feedstore.ingest.table import Table

_NDJSON_ENDINGS = (".ndjson", ".jsonl", ".ndjson.gz", ".jsonl.gz")


def read_table(lines: Lines, columns: Columns) -> Table:
    """Return the table that an input holds: NDJSON if it starts with ``{`` or is called so, else CSV.

    Raises :class:`InputError` for an empty input, and for a CSV header without the columns.
    """
    first = lines.peek()
    if not first:
        header = ",".join(columns.names)
        raise InputError(f"the file is empty; it should hold CSV with the header {header}, or NDJSON", lines.name)
    if first.lstrip().startswith("{") or lines.name.lower().endswith(_NDJSON_ENDINGS):
        return NdjsonTable(lines, columns)
    return CsvTable(lines, columns)
