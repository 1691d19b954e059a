"""A SQLAlchemy engine of the caller's own."""

from __future__ import annotations

import select
import sqlite3
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, Engine, create_engine, create_mock_engine
from sqlalchemy.pool import NullPool, StaticPool

from feedstore.backends.sql import SqlBackend
from feedstore.backends.sql.address import parse_address
from feedstore.errors import BackendClosedError, ForkedClientError, InvalidTypeError, InvalidValueError, StorageError
from feedstore.testing.processes import run_in_child, run_in_threads
from feedstore.testing.samples import make_activities


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = create_engine(parse_address(database_url).url)
    yield engine
    engine.dispose()


@pytest.fixture
def backend(engine: Engine) -> Iterator[SqlBackend]:
    with SqlBackend(engine=engine) as backend:
        yield backend


def test_everything_works_on_it(backend: SqlBackend) -> None:
    activities, timelines, kv = backend.activity_storage(), backend.timeline_storage(), backend.kv_storage()
    made = make_activities(30)
    assert activities.add_many(made) == 30
    assert timelines.add_to_many(["a", "b"], made, max_length=20) == 60
    assert timelines.get_slice("a", 0, 5, hydrate_from=activities) == made[:-6:-1]
    assert timelines.get_many_slices(["a", "b"], 0, 1) == {key: [made[-1].reference] for key in "ab"}
    with backend.batch(atomic=True) as batch:
        kv.upsert("key", 1, batch_interface=batch)
        timelines.trim("a", 3, batch_interface=batch)
    assert batch.results == [None, 17]
    assert dict(kv.items()) == {"key": 1}


def test_threads_share_it(backend: SqlBackend) -> None:
    timelines = backend.timeline_storage()
    run_in_threads([partial(timelines.add_many, "key", range(number, 200, 4)) for number in range(4)])
    assert timelines.count("key") == 200


def test_it_is_given_back_as_it_was(engine: Engine, backend: SqlBackend) -> None:
    backend.kv_storage().upsert("key", 1)
    assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    with engine.connect() as connection:
        connection.exec_driver_sql("DELETE FROM feedstore_item")
        connection.rollback()
    assert backend.kv_storage().fetch_one("key") == 1


def _driver_connection(connection: Connection) -> Any:
    return connection.connection.driver_connection


@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_what_the_server_said_meanwhile_disturbs_nothing(engine: Engine, backend: SqlBackend) -> None:
    backend.ping()
    with engine.connect() as connection:
        connection.exec_driver_sql("LISTEN news")
        connection.commit()
        listening = _driver_connection(connection)
    with psycopg.connect(listening.info.dsn, autocommit=True) as other:
        other.execute("NOTIFY news")
    select.select([listening], [], [], 30)
    backend.ping()
    with engine.connect() as connection:
        assert _driver_connection(connection) is listening
    assert not listening.autocommit


def test_closing_leaves_it_open(engine: Engine) -> None:
    with SqlBackend(engine=engine) as first:
        first.kv_storage().upsert("key", 1)
    with pytest.raises(BackendClosedError):
        first.kv_storage().fetch_one("key")
    with SqlBackend(engine=engine) as second:
        assert second.kv_storage().fetch_one("key") == 1


def test_a_forked_child_refuses_it(backend: SqlBackend) -> None:
    backend.kv_storage().upsert("key", 1)

    def child() -> str:
        with pytest.raises(ForkedClientError, match="in the child") as caught:
            backend.kv_storage().fetch_one("key")
        return type(caught.value).__name__

    assert run_in_child(child) == "ForkedClientError"
    assert backend.kv_storage().fetch_one("key") == 1


def test_one_connection_for_all_threads() -> None:
    engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    with SqlBackend(engine=engine) as backend:
        timelines = backend.timeline_storage()

        def work(number: int) -> None:
            timelines.add_many("key", range(number, 200, 4))
            assert timelines.get_slice("key", 0, 1)
            timelines.trim("key", 150)

        run_in_threads([partial(work, number) for number in range(4)])
        assert timelines.count("key") == len(timelines.get_slice("key", 0, None)) <= 150
    engine.dispose()


def test_a_write_in_a_transaction_of_the_application_is_refused() -> None:
    engine = create_engine(
        "sqlite://",
        poolclass=StaticPool,
        isolation_level="AUTOCOMMIT",
        connect_args={"check_same_thread": False},
    )
    with SqlBackend(engine=engine) as backend:
        items = backend.kv_storage()
        items.upsert("key", 1)
        with engine.connect() as connection:
            connection.exec_driver_sql("BEGIN")
            with pytest.raises(StorageError, match="within a transaction"):
                items.upsert("key", 2)
        assert items.fetch_one("key") == 1
    engine.dispose()


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.skipif(sys.version_info < (3, 12), reason="sqlite3 has no autocommit before Python 3.12")
def test_a_driver_that_begins_transactions_itself(database_url: str) -> None:
    engine = create_engine(parse_address(database_url).url, poolclass=NullPool, connect_args={"autocommit": False})
    with SqlBackend(engine=engine) as backend, pytest.raises(InvalidValueError, match="autocommit"):
        backend.ping()


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize("options", [{}, {"isolation_level": "AUTOCOMMIT"}, {"isolation_level": "SERIALIZABLE"}])
def test_a_single_statement_is_committed(database_url: str, options: dict[str, Any]) -> None:
    """With an isolation level, the driver begins a transaction before the statement, which no commit would end."""
    engine = create_engine(parse_address(database_url).url, poolclass=NullPool, **options)
    with SqlBackend(engine=engine) as backend, SqlBackend(database_url) as other:
        backend.kv_storage().upsert("key", 1)
        assert other.kv_storage().fetch_one("key") == 1
        other.kv_storage().upsert("key", 2)
        assert backend.kv_storage().replace("key", 2, 3) is True
        assert other.kv_storage().fetch_one("key") == 3
    engine.dispose()


@pytest.mark.parametrize("name", ["busy_timeout", "pool_size", "cache_size", "pool_sise"])
def test_options_of_the_engine_are_refused(engine: Engine, name: str) -> None:
    options: dict[str, Any] = {name: 3}
    with pytest.raises(InvalidTypeError, match=name):
        SqlBackend(engine=engine, **options)


def test_what_is_no_engine(engine: Engine) -> None:
    wrong: list[Any] = ["sqlite://", sqlite3.connect, create_mock_engine("sqlite://", print)]
    for each in wrong:
        with pytest.raises(InvalidTypeError, match="create_engine"):
            SqlBackend(engine=each)
    with pytest.raises(InvalidTypeError, match="either a URL or engine="):
        SqlBackend("sqlite:///feeds.db", engine=engine)
    with pytest.raises(InvalidTypeError, match="either a URL or engine="):
        SqlBackend()


def test_another_driver_is_refused(engine: Engine) -> None:
    engine.dialect.driver = "another"
    with pytest.raises(InvalidValueError, match="through another"):
        SqlBackend(engine=engine)
