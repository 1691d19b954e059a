"""Threads and their connections."""

from __future__ import annotations

import gc
import os
import threading
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine

from feedstore import connect
from feedstore.backends.sql import SqlBackend
from feedstore.errors import BackendClosedError
from feedstore.testing.processes import run_in_threads
from polling import poll_until


def _open_files(path: Path) -> int:
    names = os.listdir("/proc/self/fd")
    return sum(os.path.realpath(f"/proc/self/fd/{name}") == str(path) for name in names)


def test_a_thread_hands_its_connection_on_when_it_ends(tmp_path: Path) -> None:
    path = (tmp_path / "feeds.db").resolve()
    with connect(f"sqlite:///{path}") as backend:
        backend.ping()
        for _ in range(20):
            thread = threading.Thread(target=backend.ping)
            thread.start()
            thread.join(30)
        assert _open_files(path) <= 2
    assert _open_files(path) == 0


def test_closing_closes_every_threads_connection(tmp_path: Path) -> None:
    path = (tmp_path / "feeds.db").resolve()
    backend = connect(f"sqlite:///{path}")
    opened, closed = threading.Barrier(4), threading.Event()
    errors: list[str] = []

    def work() -> None:
        backend.ping()
        opened.wait(30)
        closed.wait(30)
        try:
            backend.ping()
        except BackendClosedError as error:
            errors.append(str(error))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    opened.wait(30)
    assert _open_files(path) == 3
    backend.close()
    assert _open_files(path) == 0
    closed.set()
    for thread in threads:
        thread.join(30)
    assert len(errors) == 3


def test_calls_under_way_end_before_closing_or_say_so(database_url: str) -> None:
    backend = SqlBackend(database_url)
    timelines = backend.timeline_storage()
    timelines.add("key", 0)
    started = threading.Barrier(4)

    def work(thread: int) -> str:
        started.wait(30)
        try:
            for number in range(10_000):
                timelines.add("key", thread * 10_000 + number)
        except BackendClosedError:
            return "closed"
        return "done"

    def close() -> str:
        started.wait(30)
        backend.close()
        return "closed"

    results = run_in_threads([*[partial(work, thread) for thread in range(3)], close])
    assert results == ["closed"] * 4
    with SqlBackend(database_url) as again:
        assert again.timeline_storage().count("key") == len(again.timeline_storage().get_slice("key", 0, None))


@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_closing_while_the_first_call_prepares_leaves_nothing_open(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = SqlBackend(database_url)
    inside, closed = threading.Event(), threading.Event()

    def prepare(engine: Engine, mode: str | None) -> None:
        inside.set()
        assert closed.wait(30)

    monkeypatch.setattr("feedstore.backends.sql.connection.prepare_schema", prepare)
    thread = threading.Thread(target=backend.ping)
    thread.start()
    assert inside.wait(30)
    backend.close()
    closed.set()
    thread.join(30)
    poll_until(lambda: _connections_of(database_url) == 0, 30, "the end of every connection")


def _connections_of(url: str) -> int:
    with psycopg.connect(url) as connection:
        counted = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ((count,),) = connection.execute(counted).fetchall()
    return int(count)


@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_connections_are_kept_and_no_more_than_are_needed(database_url: str) -> None:
    with SqlBackend(database_url, pool_size=3) as backend:
        for _ in range(5):
            backend.ping()
        assert _connections_of(database_url) == 1
        together = threading.Barrier(3)
        run_in_threads([partial(backend.session._store.read, lambda connection: together.wait(30)) for _ in range(3)])
        assert _connections_of(database_url) == 3
        run_in_threads([backend.ping] * 8)
        assert _connections_of(database_url) == 3
    poll_until(lambda: _connections_of(database_url) == 0, 30, "the end of every connection")


def test_a_backend_that_is_never_closed_leaves_nothing_open(database_url: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        backend = SqlBackend(database_url)
        backend.ping()
        del backend
        gc.collect()


def test_many_threads_share_a_small_pool(database_url: str) -> None:
    options: dict[str, Any] = {"pool_size": 2} if database_url.startswith("postgres") else {}
    with SqlBackend(database_url, **options) as backend:
        timelines = backend.timeline_storage()
        run_in_threads([partial(timelines.add_many, "key", [number]) for number in range(16)])
        assert timelines.count("key") == 16


def test_use_after_close(backend: SqlBackend) -> None:
    other = backend.with_namespace("other")
    backend.ping()
    other.close()
    other.close()
    assert backend.closed
    with pytest.raises(BackendClosedError, match="SqlBackend"):
        backend.timeline_storage().count("key")
    with pytest.raises(BackendClosedError, match="SqlBackend"):
        backend.timeline_storage().add("key", 1)
