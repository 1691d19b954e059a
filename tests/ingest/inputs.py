"""Inputs that the tests of ingestion make."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterable, Sequence
from typing import Any

from feedstore import Activity
from feedstore.errors import InputError
from feedstore.ingest import Problems, Source
from feedstore.ingest.formats import read_table
from feedstore.ingest.loader import DEFAULT_MAX_FUTURE
from feedstore.ingest.rows import ACTIVITY_COLUMNS, ActivityReader

HEADER = "id,time,actor,verb,object,target,extra\n"
FOLLOWS_HEADER = "follower,followee,time\n"
GOOD_ROW = "1,2026-01-31T08:39:59Z,ann,like,photo:7,,\n"


def source(data: str | bytes) -> Source:
    """Standard input that holds ``data``."""
    return Source("-", io.BytesIO(data.encode() if isinstance(data, str) else data))


def csv_text(rows: Iterable[Sequence[Any]], header: str = HEADER) -> str:
    """A CSV file of rows."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return header + text.getvalue()


def ndjson_text(rows: Iterable[dict[str, Any]]) -> str:
    """An NDJSON file of rows."""
    return "".join(json.dumps(row) + "\n" for row in rows)


def read(data: str | bytes, problems: Problems | None = None) -> list[Activity]:
    """The activities that an input describes."""
    problems = problems or Problems()
    with source(data).open() as lines:
        rows = ActivityReader(read_table(lines, ACTIVITY_COLUMNS), DEFAULT_MAX_FUTURE)
        return list(_usable(rows, problems))


def _usable(rows: ActivityReader, problems: Problems) -> Iterable[Activity]:
    while True:
        try:
            yield from rows
            return
        except InputError as error:
            problems.note(error, rows.table)


def compressed(data: str | bytes) -> bytes:
    """Return the data compressed with gzip."""
    return gzip.compress(data.encode() if isinstance(data, str) else data, mtime=0)
