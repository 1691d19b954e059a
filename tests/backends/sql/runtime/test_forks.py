"""Connections across a fork."""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import closing
from functools import partial
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import create_engine

from feedstore import connect
from feedstore.backends.sql import SqlBackend
from feedstore.errors import ForkedClientError
from feedstore.storage import TimelineStorage
from feedstore.testing.processes import Child, run_in_child
from forking import PLAIN_FORKS, fork_in_c


def test_what_the_child_commits_outlives_the_parents_connections(tmp_path: Path) -> None:
    """A child that inherited SQLite's idea of the file's locks would write into a log that its parent deletes."""
    url = f"sqlite:///{tmp_path / 'feeds.db'}"
    parent = connect(url)
    parent.timeline_storage().add("key", 1)
    to_child, from_parent = os.pipe()
    to_parent, from_child = os.pipe()

    def child() -> int:
        assert parent.timeline_storage().count("key") == 1
        os.write(from_child, b"x")
        os.read(to_child, 1)
        parent.timeline_storage().add("key", 2)
        return parent.timeline_storage().count("key")

    process = Child(child)
    os.read(to_parent, 1)
    assert parent.timeline_storage().count("key") == 1
    parent.close()
    os.write(from_parent, b"x")
    assert process.result() == 2
    with connect(url) as backend:
        assert backend.timeline_storage().count("key") == 2
    for end in (to_child, from_parent, to_parent, from_child):
        os.close(end)


def test_no_connection_to_sqlite_is_inherited(tmp_path: Path) -> None:
    path = tmp_path / "feeds.db"
    with connect(f"sqlite:///{path}") as backend:
        backend.ping()

        def open_files() -> int:
            files = [os.readlink(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd") if _is_open(name)]
            return sum(file.startswith(str(path)) for file in files)

        assert open_files() > 0
        assert run_in_child(open_files) == 0
        backend.ping()


def _is_open(name: str) -> bool:
    return os.path.lexists(f"/proc/self/fd/{name}")


def test_a_fork_waits_for_a_write_that_is_under_way(tmp_path: Path) -> None:
    with connect(f"sqlite:///{tmp_path / 'feeds.db'}") as backend:
        assert isinstance(backend, SqlBackend)
        backend.kv_storage().upsert("key", 1)
        inside, done = threading.Event(), threading.Event()

        def slow_write(connection: sqlite3.Connection) -> None:
            connection.execute("UPDATE feedstore_item SET value = x'0102'")
            inside.set()
            done.wait(30)

        thread = threading.Thread(target=backend.session.store.write, args=(slow_write,))
        thread.start()
        inside.wait(30)
        threading.Timer(0.2, done.set).start()
        assert run_in_child(lambda: backend.kv_storage().fetch_one("key")) == 2
        thread.join(30)


@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_the_parents_connections_to_a_server_stay_open(database_url: str, backend: SqlBackend) -> None:
    backend.ping()
    inside, done = threading.Event(), threading.Event()

    def hold(connection: psycopg.Connection) -> None:
        connection.execute("SELECT 1")
        inside.set()
        done.wait(30)
        connection.execute("SELECT 2")

    thread = threading.Thread(target=backend.session.store.write, args=(hold,))
    thread.start()
    inside.wait(30)
    # One connection is in the other thread's hands, another one lies in the pool.
    backend.ping()

    def child() -> bool:
        backend.ping()
        backend.close()
        return backend.closed

    with closing(psycopg.connect(database_url, autocommit=True)) as connection:
        processes = (
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'feedstore' "
            "AND datname = current_database() ORDER BY pid"
        )
        before = connection.execute(processes.encode()).fetchall()
        assert len(before) == 2
        assert run_in_child(child)
        backend.ping()
        done.set()
        thread.join(30)
        backend.ping()
        assert connection.execute(processes.encode()).fetchall() == before


def test_forks_of_forks(database_url: str, backend: SqlBackend) -> None:
    timelines = backend.timeline_storage()
    timelines.add("key", 1)

    def grandchild() -> int:
        timelines.add("key", 3)
        return timelines.count("key")

    def child() -> int:
        timelines.add("key", 2)
        count: int = run_in_child(grandchild)
        return count + timelines.count("key")

    assert run_in_child(child) == 6
    assert timelines.count("key") == 3


@PLAIN_FORKS
@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_forks_past_pythons_hooks(backend: SqlBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    """uWSGI's prefork calls C's fork, after which no hook of ``os.register_at_fork`` runs."""
    monkeypatch.setattr("feedstore.testing.processes._fork", fork_in_c)
    timelines = backend.timeline_storage()
    timelines.add_many("key", range(1, 101))
    children = [Child(partial(_count_wrong_answers, timelines)) for _ in range(4)]
    assert _count_wrong_answers(timelines) == 0
    assert [child.result() for child in children] == [0] * 4


def _count_wrong_answers(timelines: TimelineStorage) -> int:
    wrong = 0
    for _ in range(100):
        newest = [entry.serialization_id for entry in timelines.get_slice("key", 0, 3)]
        wrong += newest != [100, 99, 98] or timelines.count("key") != 100 or not timelines.contains("key", 7)
    return wrong


@PLAIN_FORKS
@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_an_engine_is_refused_past_pythons_hooks(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("feedstore.testing.processes._fork", fork_in_c)
    engine = create_engine(database_url.replace("postgresql:", "postgresql+psycopg:"))
    with SqlBackend(engine=engine) as backend:
        backend.ping()

        def child() -> bool:
            with pytest.raises(ForkedClientError):
                backend.ping()
            return True

        assert run_in_child(child)
        backend.ping()
    engine.dispose()
