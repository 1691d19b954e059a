"""Damage in every column that is read back (T14)."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from feedstore import Activity, connect
from feedstore.backends.sql import SqlBackend
from feedstore.backends.sql.schema import VERSION_TABLE
from feedstore.backends.sql.tables import metadata
from feedstore.errors import FeedstoreError, StoredDataError
from feedstore.serializers import JsonSerializer
from feedstore.storage import Backend
from feedstore.storage.notify.registry import Kind
from soak import count

DAMAGE: list[Any] = [b"\xb8\xb9", b"", b"x" * 20, "text", "1", 7, -1, 2**62, 0.5, None]
ACTIVITY = Activity("ann", "like", "photo:7", id=5)


def _fill(backend: Backend) -> None:
    backend.timeline_storage().add_many("key", range(4))
    backend.timeline_storage().trim("key", 3)
    backend.timeline_storage(JsonSerializer).add("key", ACTIVITY)
    backend.activity_storage().add(ACTIVITY)
    backend.kv_storage().upsert("item", 1)
    queue = backend.queue("q", visibility_timeout=3600)
    queue.push_many(["one", "two"])
    queue.receive()


def _calls(backend: Backend) -> dict[str, Callable[[], object]]:
    timelines, activities = backend.timeline_storage(), backend.activity_storage()
    items, queue = backend.kv_storage(), backend.queue("q", visibility_timeout=3600, max_length=3)
    assert isinstance(backend, SqlBackend)
    return {
        "slice": lambda: timelines.get_slice("key", 0, None),
        "payloads": lambda: backend.timeline_storage(JsonSerializer).get_slice("key", 0, None),
        "page": lambda: timelines.get_page("key", 1).next_cursor,
        "empty page": lambda: timelines.get_page("other", 1),
        "slices": lambda: timelines.get_many_slices(["key", "other"], 0, 2),
        "merged page": lambda: timelines.get_merged_page(["other", "key"], 2),
        "columns": lambda: list(timelines.get_columns("key", 2).ids),
        "columns within": lambda: list(timelines.get_columns("key", 2, {"activity_id__lt": 9}).ids),
        "hydrated": lambda: timelines.get_slice("key", 0, None, hydrate_from=activities),
        "keys": lambda: list(timelines.keys()),
        "count": lambda: timelines.count("key"),
        "index": lambda: timelines.index_of("key", 3),
        "contains": lambda: timelines.contains("key", 3),
        "add": lambda: timelines.add_to_many(["key", "other"], [8, 9], max_length=4),
        "remove": lambda: timelines.remove_from_many(["key", "other"], [3]),
        "trim": lambda: timelines.trim("key", 1),
        "activities": lambda: activities.get_many([5, 6]),
        "iterate": lambda: list(activities.iterate()),
        "add activity": lambda: activities.add(ACTIVITY),
        "remove activity": lambda: activities.remove(5),
        "item": lambda: items.fetch_one("item"),
        "items": lambda: list(items.items()),
        "many items": lambda: items.fetch_many(["item", "other"]),
        "upsert": lambda: items.upsert("item", 2),
        "waiting": lambda: queue.count(),
        "seconds": lambda: queue._seconds_to_next(),
        "push": lambda: queue.push("three"),
        "receive": lambda: queue.receive(),
        "newest": lambda: backend.session.newest_ids(Kind.TIMELINE, ["key"]),
        "delete": lambda: timelines.delete("key"),
        "flush": lambda: [storage.flush() for storage in (timelines, activities, items, queue)],
    }


def _use(url: str) -> None:
    """Make every call, each of which may raise an error of feedstore's own."""
    with connect(url) as backend:
        for call in _calls(backend).values():
            with suppress(FeedstoreError):
                call()


def _places() -> Iterator[tuple[str, str]]:
    yield VERSION_TABLE, "version_num"
    for table in metadata.tables.values():
        yield from ((table.name, column.name) for column in table.columns)


@pytest.mark.soak
def test_any_value_in_any_column_of_sqlite_raises_errors_of_feedstore_alone(tmp_path: Path) -> None:
    """SQLite keeps a value of any type wherever it is put."""
    whole = tmp_path / "whole.db"
    with connect(f"sqlite:///{whole}") as backend:
        _fill(backend)
    cases = [(*place, value) for place in _places() for value in DAMAGE]
    damaged = tmp_path / "damaged.db"
    for table, column, value in random.Random(3).sample(cases, count(10, len(cases))):
        damaged.write_bytes(whole.read_bytes())
        with closing(sqlite3.connect(damaged, isolation_level=None)) as connection:
            try:
                connection.execute(f"UPDATE {table} SET {column} = ?", (value,))
            except sqlite3.IntegrityError:
                # The constraint, or the type of a rowid, keeps this damage out.
                continue
        try:
            _use(f"sqlite:///{damaged}")
        except Exception as error:
            raise AssertionError(f"{table}.{column} = {value!r}") from error


# Bytes that both databases take in their columns of bytes.
BYTES = [
    ("feedstore_item", "key", b"\xb8\xb9", {"items"}),
    ("feedstore_timeline", "key", b"\xb8\xb9", {"keys"}),
    ("feedstore_timeline", "newest_dropped", b"x" * 20, {"page"}),
    ("feedstore_entry", "activity_id", b"x" * 20, {"slice", "page", "slices", "hydrated", "payloads"}),
    ("feedstore_entry", "activity_id", b"", {"slice"}),
    ("feedstore_activity", "activity_id", b"x", {"iterate"}),
    ("feedstore_activity", "data", b"", {"iterate", "activities"}),
    ("feedstore_item", "value", b"\xff", {"item", "items", "many items"}),
    ("feedstore_message", "data", b"\xff", {"receive"}),
]


@pytest.mark.parametrize(("table", "column", "value", "expected"), BYTES)
def test_damaged_bytes_are_named(
    database_kind: str, database_url: str, table: str, column: str, value: bytes, expected: set[str]
) -> None:
    with connect(database_url) as backend:
        _fill(backend)
        if column == "activity_id":
            backend.timeline_storage().remove_many("key", range(4))
    if database_kind == "sqlite":
        with closing(sqlite3.connect(database_url.removeprefix("sqlite:///"), isolation_level=None)) as connection:
            connection.execute(f"UPDATE {table} SET {column} = ?", (value,))
    else:
        with psycopg.connect(database_url, autocommit=True) as server:
            server.execute(f"UPDATE {table} SET {column} = %s".encode(), (value,))
    with connect(database_url) as backend:
        calls = _calls(backend)
        for name in expected:
            with pytest.raises(StoredDataError):
                calls[name]()
