"""Inputs that the tests of ingestion make."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterable, Sequence
from typing import Any

from feedstore import Activity, connect
from feedstore.errors import InputError
from feedstore.fanout import FeedManager, HomeFeed
from feedstore.ingest import InputFollowers, Loader, Problems, Progress, Source, Summary
from feedstore.ingest.formats import read_table
from feedstore.ingest.loader import DEFAULT_MAX_FUTURE
from feedstore.ingest.rows import ACTIVITY_COLUMNS, ActivityReader
from feedstore.storage import Backend

HEADER = "id,time,actor,verb,object,target,extra\n"
FOLLOWS_HEADER = "follower,followee,time\n"
GOOD_ROW = "1,2026-01-31T08:39:59Z,ann,like,photo:7,,\n"


class BrokenOff(Exception):
    """The exception that ends a run between two chunks."""


class BreakingOff(Progress):
    """Ends the run after a number of chunks."""

    def __init__(self, chunks: int) -> None:
        self._chunks = chunks

    def advance(self, source: Source, summary: Summary) -> None:
        self._chunks -= 1
        if self._chunks == 0:
            raise BrokenOff


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


def new_manager(backend: Backend | None, followers: InputFollowers | None = None, max_length: int = 800) -> FeedManager:
    """A manager whose home feeds keep ``max_length`` entries; without a backend, one in memory."""
    home = type("Home", (HomeFeed,), {"max_length": max_length})
    return FeedManager(backend or connect("memory://"), graph=followers, feed_classes={"normal": home})


def new_loader(
    backend: Backend | None, followers: InputFollowers | None = None, *, max_length: int = 800, **options: Any
) -> Loader:
    """A loader with the manager of :func:`new_manager`; without a backend, a dry run."""
    return Loader(new_manager(backend, followers, max_length), dry_run=backend is None, **options)
