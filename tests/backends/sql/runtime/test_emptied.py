"""Tables that are emptied, or restored to an older state, under a living process: namespaces stay apart, and
acknowledged writes are found.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from feedstore import Activity, connect
from feedstore.backends.sql import SqlBackend
from feedstore.backends.sql.tables import metadata
from feedstore.storage import Backend

_ACTIVITY = Activity("ann", "like", "photo:7")
_OTHERS = 100


def _empty(backend: SqlBackend) -> None:
    """As test fixtures do: no row stays, and numbers begin again."""
    engine = create_engine(backend.session.store.engine.url, poolclass=NullPool)
    names = ", ".join(metadata.tables)
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql(f"TRUNCATE {names} RESTART IDENTITY")
            return
        for name in metadata.tables:
            connection.exec_driver_sql(f"DELETE FROM {name}")
        connection.exec_driver_sql("DELETE FROM sqlite_sequence")


def _fill(backend: Backend) -> None:
    for write, _, _ in WRITES.values():
        write(backend)


def _batch(backend: Backend, atomic: bool) -> None:
    timelines = backend.timeline_storage()
    with backend.batch(atomic=atomic) as batch:
        timelines.add_to_many(["one", "other"], [2], batch_interface=batch)
        backend.kv_storage("batch").upsert("key", 2, batch_interface=batch)


WRITES: dict[str, tuple[Callable[[Backend], Any], Callable[[Backend], Any], Any]] = {
    "timeline": (
        lambda backend: backend.timeline_storage().add("key", 5),
        lambda backend: [entry.serialization_id for entry in backend.timeline_storage().get_slice("key", 0, None)],
        [5],
    ),
    "fan-out": (
        lambda backend: backend.timeline_storage().add_to_many(["a", "b", "c"], [7, 8]),
        lambda backend: [backend.timeline_storage().count(key) for key in "abc"],
        [2, 2, 2],
    ),
    "activity": (
        lambda backend: backend.activity_storage().add(_ACTIVITY),
        lambda backend: backend.activity_storage().get(_ACTIVITY.serialization_id),
        _ACTIVITY,
    ),
    "item": (
        lambda backend: backend.kv_storage().upsert("key", "value"),
        lambda backend: list(backend.kv_storage().fetch_all()),
        ["value"],
    ),
    "queue": (
        lambda backend: backend.queue("queue").push("message"),
        lambda backend: backend.queue("queue").count(),
        1,
    ),
    "full queue": (
        lambda backend: backend.queue("full", when_full="drop_oldest", max_length=1).push("message"),
        lambda backend: backend.queue("full").count(),
        1,
    ),
    "batch": (
        lambda backend: _batch(backend, atomic=False),
        lambda backend: (backend.timeline_storage().count("other"), backend.kv_storage("batch").fetch_one("key")),
        (1, 2),
    ),
    "atomic batch": (
        lambda backend: _batch(backend, atomic=True),
        lambda backend: (backend.timeline_storage().count("one"), backend.kv_storage("batch").fetch_one("key")),
        (1, 2),
    ),
}


@pytest.mark.parametrize("name", WRITES)
def test_each_write_after_the_tables_were_emptied(name: str, database_url: str, backend: SqlBackend) -> None:
    write, read, expected = WRITES[name]
    write(backend)
    _empty(backend)
    with connect(database_url, namespace="other") as other:
        other.timeline_storage().add_many("key", range(_OTHERS))
        other.kv_storage().upsert("other key", "other value")
        write(backend)
        assert read(backend) == expected
        assert other.timeline_storage().count("key") == _OTHERS
        assert list(other.kv_storage().fetch_all()) == ["other value"]
    with connect(database_url) as fresh:
        assert read(fresh) == expected


def test_reads_see_no_other_namespace(database_url: str, backend: SqlBackend) -> None:
    _fill(backend)
    _empty(backend)
    with connect(database_url, namespace="other") as other:
        _fill(other)
        timelines, activities = backend.timeline_storage(), backend.activity_storage()
        assert timelines.get_slice("key", 0, None) == []
        assert timelines.get_slice("key", 0, None, hydrate_from=activities) == []
        assert timelines.get_many_slices(["key"], 0, None) == {"key": []}
        assert timelines.get_page("key", 10).items == []
        assert (timelines.count("key"), timelines.contains("key", 5), list(timelines.keys())) == (0, False, [])
        assert (list(activities.iterate()), activities.get(_ACTIVITY.serialization_id)) == ([], None)
        assert list(backend.kv_storage().fetch_all()) == []
        assert backend.queue("queue").count() == 0
        # Neither do removals.
        assert (timelines.remove("key", 5), timelines.trim("key", 0), activities.remove(_ACTIVITY)) == (0, 0, 0)
        timelines.delete("key")
        for storage in (timelines, activities, backend.kv_storage(), backend.queue("queue")):
            storage.flush()
        for name, (_, read, expected) in WRITES.items():
            assert read(other) == expected, name


def test_an_older_copy_is_put_into_a_sqlite_file(tmp_path: Path) -> None:
    """As ``sqlite3 feeds.db ".restore older.db"`` does, while the store is open."""
    path, older = tmp_path / "feeds.db", tmp_path / "older.db"
    with connect(f"sqlite:///{path}") as backend:
        backend.ping()
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(older)) as copy:
            source.backup(copy)
        backend.timeline_storage().add("key", 1)
        with closing(sqlite3.connect(older)) as source, closing(sqlite3.connect(path)) as target:
            source.backup(target)
        with connect(f"sqlite:///{path}", namespace="other") as other:
            other.timeline_storage().add("key", 100)
            assert backend.timeline_storage().count("key") == 0
            assert backend.timeline_storage().add("key", 5) == 1
            assert [entry.serialization_id for entry in other.timeline_storage().get_slice("key", 0, None)] == [100]
        shutil.copy(path, tmp_path / "kept.db")
    with connect(f"sqlite:///{path}") as fresh:
        assert fresh.timeline_storage().count("key") == 1
