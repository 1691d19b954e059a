"""The translation of the databases' errors."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import text

from feedstore import connect
from feedstore.backends.sql import SqlBackend
from feedstore.errors import (
    MissingSchemaError,
    StorageError,
    StorageFullError,
    StorageTimeoutError,
    StorageUnavailableError,
)
from feedstore.testing.samples import make_activities

only_postgresql = pytest.mark.parametrize("database_kind", ["postgresql"])


@contextmanager
def write_lock(path: Path) -> Iterator[None]:
    """Hold SQLite's write lock, as another program would."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


def test_a_file_of_another_kind(tmp_path: Path) -> None:
    path = tmp_path / "letters.db"
    path.write_bytes(b"dear reader, this is no database" * 100)
    with (
        connect(f"sqlite:///{path}") as backend,
        pytest.raises(StorageError, match=r"letters\.db.*not a SQLite") as caught,
    ):
        backend.kv_storage().upsert("key", 1)
    assert isinstance(caught.value.__cause__, sqlite3.DatabaseError)
    assert path.read_bytes().startswith(b"dear reader")


def test_a_folder_and_a_missing_folder(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere" / "feeds.db"):
        with connect(f"sqlite:///{path}") as backend, pytest.raises(StorageUnavailableError, match=str(path)):
            backend.ping()


def test_a_damaged_file(tmp_path: Path) -> None:
    path = tmp_path / "feeds.db"
    with connect(f"sqlite:///{path}") as backend:
        backend.activity_storage().add_many(make_activities(2000))
    damaged = bytearray(path.read_bytes())
    damaged[2 * 4096 :] = b"\xab" * (len(damaged) - 2 * 4096)
    path.write_bytes(damaged)
    with connect(f"sqlite:///{path}") as backend, pytest.raises(StorageError, match=r"feeds\.db"):
        list(backend.activity_storage().iterate())


def test_a_locked_file_is_waited_for_and_then_told(tmp_path: Path) -> None:
    path = tmp_path / "feeds.db"
    with connect(f"sqlite:///{path}", busy_timeout=0.2) as backend:
        timelines = backend.timeline_storage()
        timelines.add("key", 1)
        with write_lock(path):
            # Readers do not wait.
            assert timelines.count("key") == 1
            with pytest.raises(StorageTimeoutError, match="busy_timeout"):
                timelines.add("key", 2)
        assert timelines.add("key", 2) == 1


def test_a_lock_that_ends_in_time_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "feeds.db"
    with connect(f"sqlite:///{path}") as backend:
        timelines = backend.timeline_storage()
        timelines.add("key", 1)
        thread = threading.Thread(target=timelines.add, args=("key", 2))
        with write_lock(path):
            thread.start()
            thread.join(0.1)
            assert timelines.count("key") == 1
        thread.join(30)
        assert timelines.count("key") == 2


def test_another_thread_that_keeps_writing(tmp_path: Path) -> None:
    with connect(f"sqlite:///{tmp_path / 'feeds.db'}", busy_timeout=0.2) as backend:
        assert isinstance(backend, SqlBackend)
        backend.kv_storage().upsert("key", 1)
        inside, done = threading.Event(), threading.Event()

        def hold(connection: Any) -> None:
            inside.set()
            done.wait(30)

        thread = threading.Thread(target=backend.session.store.write, args=(hold,))
        thread.start()
        inside.wait(30)
        with pytest.raises(StorageTimeoutError, match="another thread"):
            backend.kv_storage().upsert("key", 2)
        done.set()
        thread.join(30)
        backend.kv_storage().upsert("key", 3)


def test_a_full_database(tmp_path: Path) -> None:
    with connect(f"sqlite:///{tmp_path / 'feeds.db'}") as backend:
        assert isinstance(backend, SqlBackend)
        activities = backend.activity_storage()
        activities.add_many(make_activities(100))
        backend.session.store.fetch("PRAGMA max_page_count = 40", ())
        with pytest.raises(StorageFullError, match=r"feeds\.db.*full") as caught:
            activities.add_many(make_activities(10_000, first=1000))
        assert isinstance(caught.value.__cause__, sqlite3.OperationalError)
        assert list(activities.iterate()) == make_activities(100)
        backend.session.store.fetch("PRAGMA max_page_count = 4000", ())
        assert activities.add_many(make_activities(10_000, first=1000)) == 10_000


def test_a_file_that_may_only_be_read(tmp_path: Path) -> None:
    path = tmp_path / "feeds.db"
    with connect(f"sqlite:///{path}") as backend:
        backend.kv_storage().upsert("key", 1)
        assert isinstance(backend, SqlBackend)
        backend.session.store.fetch("PRAGMA query_only = 1", ())
        with pytest.raises(StorageError, match="cannot be written"):
            backend.kv_storage().upsert("key", 2)
        assert backend.kv_storage().fetch_one("key") == 1


def test_no_tables(empty_database_url: str) -> None:
    with connect(empty_database_url, schema="ignore") as backend:
        for call in (lambda: backend.timeline_storage().count("key"), lambda: backend.kv_storage().upsert("key", 1)):
            with pytest.raises(MissingSchemaError):
                call()
        backend.ping()


@only_postgresql
def test_a_statement_that_takes_too_long(database_url: str) -> None:
    with connect(database_url, statement_timeout=0.2) as backend, psycopg.connect(database_url) as blocker:
        timelines = backend.timeline_storage()
        timelines.add("key", 1)
        blocker.execute("SELECT * FROM feedstore_timeline FOR UPDATE")
        with pytest.raises(StorageTimeoutError, match="statement_timeout"):
            timelines.add("key", 2)
        assert timelines.count("key") == 1
        blocker.rollback()
        assert timelines.add("key", 2) == 1


@only_postgresql
def test_no_connection_of_the_pool_is_free(database_url: str) -> None:
    with connect(database_url, pool_size=1, pool_timeout=0.1) as backend:
        assert isinstance(backend, SqlBackend)
        backend.ping()

        def use_another(connection: Any) -> None:
            thread_errors: list[BaseException] = []

            def ping() -> None:
                try:
                    backend.ping()
                except StorageTimeoutError as error:
                    thread_errors.append(error)

            thread = threading.Thread(target=ping)
            thread.start()
            thread.join(30)
            assert "pool_size" in str(thread_errors[0])

        backend.session.store.read(use_another)
        backend.ping()


@only_postgresql
def test_a_database_that_is_not_there(database_url: str) -> None:
    with connect(f"{database_url}_not") as backend, pytest.raises(StorageUnavailableError, match="not") as caught:
        backend.ping()
    assert isinstance(caught.value.__cause__, psycopg.OperationalError)


@only_postgresql
def test_an_own_error_of_the_server(backend: SqlBackend) -> None:
    backend.ping()
    with pytest.raises(StorageError, match="division by zero"):
        backend.session.store.fetch("SELECT 1 / 0", ())
    backend.ping()


@only_postgresql
def test_the_databases_default_isolation_does_not_matter(empty_database_url: str) -> None:
    """For the creation of the tables, too."""
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        name = connection.info.dbname
        connection.cursor().execute(
            text(f"ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'").text.encode()
        )
    with connect(empty_database_url) as backend:
        timelines = backend.timeline_storage()
        errors: list[BaseException] = []

        def add(first: int) -> None:
            try:
                for number in range(first, first + 30):
                    timelines.add_to_many(["a", "b"], [number], max_length=5)
            except StorageError as error:
                errors.append(error)

        threads = [threading.Thread(target=add, args=(first,)) for first in (0, 100, 200)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not errors
        assert [timelines.count(key) for key in "ab"] == [5, 5]
