"""Namespaces as rows."""

from __future__ import annotations

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from backends.sql.runtime.faulty import dump
from feedstore import connect
from feedstore.backends.sql import SqlBackend, activity, kv
from feedstore.errors import NewerSchemaError
from feedstore.testing.samples import make_activities


def _execute(backend: SqlBackend, statement: str) -> list[tuple[object, ...]]:
    with create_engine(backend.session._store.engine.url, poolclass=NullPool).begin() as connection:
        result = connection.execute(text(statement))
        return [tuple(row) for row in result] if result.returns_rows else []


def test_reading_makes_none(backend: SqlBackend) -> None:
    assert backend.timeline_storage().get_slice("key", 0, 5) == []
    assert backend.timeline_storage().get_page("key", 5).complete
    assert backend.activity_storage().get_many([1, 2]) == []
    assert list(backend.kv_storage().items()) == []
    assert list(backend.timeline_storage().keys()) == []
    assert backend.timeline_storage().trim("key", 1) == backend.activity_storage().remove(1) == 0
    backend.timeline_storage().delete("key")
    backend.timeline_storage().flush()
    assert _execute(backend, "SELECT * FROM feedstore_namespace") == []


def test_the_first_write_makes_one(backend: SqlBackend, other_backend: SqlBackend) -> None:
    assert other_backend.timeline_storage().count("key") == 0
    backend.timeline_storage().add("key", 1)
    assert other_backend.timeline_storage().count("key") == 1
    other_backend.with_namespace("other").kv_storage().upsert("key", 1)
    assert _execute(backend, "SELECT name, format FROM feedstore_namespace ORDER BY id") == [
        ("default", 1),
        ("other", 1),
    ]


def test_a_newer_format_is_refused_by_name(backend: SqlBackend, database_url: str) -> None:
    backend.kv_storage().upsert("key", 1)
    backend.with_namespace("other").kv_storage().upsert("key", 1)
    _execute(backend, "UPDATE feedstore_namespace SET format = 2 WHERE name = 'other'")
    with connect(database_url, namespace="other") as newer:
        for call in (
            lambda: newer.kv_storage().fetch_one("key"),
            lambda: newer.kv_storage().upsert("key", 2),
            lambda: newer.timeline_storage().flush(),
        ):
            with pytest.raises(NewerSchemaError, match="'other'"):
                call()
        assert newer.with_namespace("default").kv_storage().fetch_one("key") == 1


@pytest.mark.parametrize("count", [0, 1, 100, 250])
def test_flushing_many_timelines(backend: SqlBackend, count: int) -> None:
    neighbour = backend.with_namespace("neighbour")
    for each in (backend, neighbour):
        each.kv_storage().upsert("key", 1)
        each.timeline_storage().add_to_many([f"key{number}" for number in range(count)], [1, 2])
    before = dump(backend)["timeline"]
    backend.timeline_storage().flush()
    tables = dump(backend)
    assert len({row.namespace_id for row in tables["timeline"]}) == min(count, 1)
    assert tables["timeline"] == [row for row in before if row in tables["timeline"]]
    assert len(tables["timeline"]) == count
    assert len(tables["entry"]) == 2 * count


def test_flushing_more_rows_than_one_statement_deletes(backend: SqlBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (activity, kv):
        monkeypatch.setattr(module, "_ROWS_A_FLUSH", 100)
    neighbour = backend.with_namespace("neighbour")
    neighbour.activity_storage().add_many(make_activities(3))
    neighbour.kv_storage().upsert("key", 1)
    backend.kv_storage("other").upsert("key", 1)
    backend.activity_storage().add_many(make_activities(201))
    with backend.batch() as batch:
        for number in range(201):
            backend.kv_storage().upsert(f"{number}", number, batch_interface=batch)
    backend.activity_storage().flush()
    backend.kv_storage().flush()
    tables = dump(backend)
    assert len(tables["activity"]) == 3
    assert len(tables["item"]) == 2
