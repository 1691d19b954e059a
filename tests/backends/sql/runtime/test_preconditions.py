"""A precondition of a batch holds until the batch has committed."""

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


@pytest.mark.parametrize("database_kind", ["postgresql"])
@pytest.mark.parametrize("value", [None, "held"])
def test_a_write_against_a_precondition_waits(backend: SqlBackend, value: str | None) -> None:
    """A key that must be absent is not inserted, and one that must have a value is not changed, before the commit."""
    kv = backend.kv_storage()
    expected = None if value is None else encode_value("key", value)
    if value is not None:
        kv.upsert("key", value)
    required = threading.Event()

    def another_waits() -> bool:
        with backend.session.store.engine.connect() as connection:
            return bool(connection.execute(_WAITING).scalar_one())

    def require_and_commit_late(connection: Connection) -> Any:
        held = kv._compare_and_set("key", expected, expected, SqlTransaction(connection)).result
        required.set()
        poll_until(another_waits, 30, "another transaction waits for a lock")
        return held, connection.execute("SELECT count(*) FROM feedstore_item").fetchone()[0]

    def break_it() -> bool | None:
        required.wait(30)
        return kv.insert("key", "new") if value is None else kv.replace("key", value, "new")

    found, changed = run_in_threads([lambda: backend.session.store.write(require_and_commit_late), break_it])
    assert found == (True, 0 if value is None else 1)
    assert changed is True
    assert kv.get("key") == "new"
