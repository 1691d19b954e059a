"""Several processes and threads open a database concurrently: one migrates, and the others wait for it."""

from __future__ import annotations

import multiprocessing
import multiprocessing.synchronize
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import DBAPIError

from backends.sql.schema import databases
from feedstore import connect
from feedstore.backends.sql.address import parse_address
from feedstore.backends.sql.schema import HEAD, Schema, SchemaState, detect_schema, migration, prepare_schema
from feedstore.backends.sql.schema.migration import migration_transaction
from feedstore.testing.processes import Child

PROCESSES = 3
SECONDS = 60
FORK = multiprocessing.get_context("fork")


def open_at_once(url: str, together: multiprocessing.synchronize.Barrier, name: str) -> None:
    """Open a backend on the database together with the other processes, and write to it."""
    with connect(url, schema="migrate") as backend:
        together.wait(SECONDS)
        backend.kv_storage().upsert(name, True)


@pytest.mark.parametrize("make", [lambda engine: None, databases.make_older], ids=["empty", "older"])
def test_processes_that_open_a_database_at_once_do_not_collide(
    database_url: str, engine: Engine, make: Callable[[Engine], None]
) -> None:
    make(engine)
    together = FORK.Barrier(PROCESSES)
    names = [str(number) for number in range(PROCESSES)]
    for child in [Child(partial(open_at_once, database_url, together, name)) for name in names]:
        child.result(SECONDS)
    with connect(database_url, schema="check") as backend:
        assert [key for key, _ in backend.kv_storage().items()] == names


def test_threads_may_migrate_several_databases_at_once(tmp_path: Path) -> None:
    engines = [create_engine(f"sqlite:///{tmp_path}/{number}.db") for number in range(4)]
    together = threading.Barrier(len(engines))

    def prepare(engine: Engine) -> Schema:
        together.wait(SECONDS)
        prepare_schema(engine)
        with engine.connect() as connection:
            found = detect_schema(connection)
        engine.dispose()
        return found

    with ThreadPoolExecutor(len(engines)) as pool:
        assert list(pool.map(prepare, engines)) == [Schema(SchemaState.CURRENT, HEAD)] * len(engines)


def test_waiting_for_another_s_migration_ends(
    database_url: str, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migration, "LOCK_SECONDS", 0.2)
    url = parse_address(database_url).url
    with impatient(url.render_as_string(hide_password=False)) as other:
        with migration_transaction(engine), pytest.raises(DBAPIError, match="lock"):
            prepare_schema(other)
        prepare_schema(other)
    with engine.connect() as connection:
        assert detect_schema(connection).state is SchemaState.CURRENT


def test_what_waited_for_a_migration_finds_it_done(engine: Engine) -> None:
    future: Future[None]
    with ThreadPoolExecutor(1) as pool:
        with migration_transaction(engine) as connection:
            future = pool.submit(prepare_schema, engine, None)
            migration.run_upgrade(connection, HEAD)
        assert future.result(SECONDS) is None
    with engine.connect() as connection:
        assert detect_schema(connection).state is SchemaState.CURRENT


@contextmanager
def impatient(url: str) -> Iterator[Engine]:
    """Give an engine that waits for a SQLite lock for a short time only."""
    options = {"timeout": 0.2} if url.startswith("sqlite") else {}
    engine = create_engine(url, connect_args=options)
    yield engine
    engine.dispose()
