"""A batch holds its preconditions and the headers of its timelines until it has committed."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from sqlalchemy import text

from feedstore.backends.sql import SqlBackend
from feedstore.backends.sql.connection import Connection
from feedstore.backends.sql.session import SqlTransaction
from feedstore.storage.kv import encode_value
from feedstore.testing.processes import run_in_threads
from polling import poll_until

_WAITING = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")


def another_waits(backend: SqlBackend) -> bool:
    """Return whether a transaction of the database waits for a lock."""
    with backend.session.store.engine.connect() as connection:
        return bool(connection.execute(_WAITING).scalar_one())


@pytest.mark.parametrize("database_kind", ["postgresql"])
@pytest.mark.parametrize("value", [None, "held"])
def test_a_write_against_a_precondition_waits(backend: SqlBackend, value: str | None) -> None:
    """A key that must be absent is not inserted, and one that must have a value is not changed, before the commit."""
    kv = backend.kv_storage()
    expected = None if value is None else encode_value("key", value)
    if value is not None:
        kv.upsert("key", value)
    required = threading.Event()

    def require_and_commit_late(connection: Connection) -> Any:
        held = kv._compare_and_set("key", expected, expected, SqlTransaction(connection)).result
        required.set()
        poll_until(lambda: another_waits(backend), 30, "another transaction waits for a lock")
        return held, connection.execute("SELECT count(*) FROM feedstore_item").fetchone()[0]

    def break_it() -> bool | None:
        required.wait(30)
        return kv.insert("key", "new") if value is None else kv.replace("key", value, "new")

    found, changed = run_in_threads([lambda: backend.session.store.write(require_and_commit_late), break_it])
    assert found == (True, 0 if value is None else 1)
    assert changed is True
    assert kv.get("key") == "new"


@pytest.mark.parametrize("database_kind", ["postgresql"])
@pytest.mark.parametrize("collection", [None, "beside"])
def test_a_delivery_waits_for_a_removal_from_absent_timelines(
    backend: SqlBackend, collection: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A removal from two timelines that do not exist yet removes nothing of a delivery to both, or all of it."""
    first = backend.timeline_storage()
    second = first if collection is None else backend.timeline_storage(name=collection)
    writer = backend.session.dialect.timelines
    remove, delivered = writer.remove_from_many, threading.Event()
    removed = threading.Event()

    def remove_late(*arguments: Any) -> int:
        count = remove(*arguments)
        removed.set()
        poll_until(lambda: delivered.is_set() or another_waits(backend), 30, "the delivery waits or has ended")
        return count

    def remove_both() -> None:
        with backend.batch(atomic=True) as batch:
            first.remove("a", 1, batch_interface=batch)
            second.remove("b", 1, batch_interface=batch)

    def deliver() -> None:
        removed.wait(30)
        with backend.batch(atomic=True) as batch:
            first.add("a", 1, batch_interface=batch)
            second.add("b", 1, batch_interface=batch)
        delivered.set()

    monkeypatch.setattr(writer, "remove_from_many", remove_late)
    run_in_threads([remove_both, deliver])
    assert (first.count("a"), second.count("b")) == (1, 1)
