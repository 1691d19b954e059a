"""A real pgbouncer in front of PostgreSQL: every answer is right, or the connection is refused."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest
from sqlalchemy import create_engine

from feedstore import connect
from feedstore.backends.sql import SqlBackend
from feedstore.errors import InvalidValueError, StorageTimeoutError, StorageUnavailableError
from feedstore.storage import KvStorage
from feedstore.storage.notify.registry import Kind
from feedstore.testing.processes import run_in_threads
from polling import poll_until
from servers.pgbouncer import PgBouncer

_IGNORING = "ignore_startup_parameters = options,extra_float_digits"
MakePooler = Callable[..., PgBouncer]


@pytest.fixture
def make_pooler(migrated_database: str) -> Iterator[MakePooler]:
    """Start poolers in front of the test's database."""
    with ExitStack() as stack:

        def make(mode: str, size: int = 3, more: str = "") -> PgBouncer:
            pooler = PgBouncer(migrated_database, mode, size, more)
            stack.callback(pooler.stop)
            return pooler

        yield make


def _assert_right_answers(url: str, **options: Any) -> None:
    """Many clients on few connections of the server: prepared statements of one would answer another."""
    with connect(url, **options) as backend:
        backend.timeline_storage().delete("key")
        backend.timeline_storage().add_many("key", range(1, 11))

    def client(seed: int) -> int:
        chance, wrong = random.Random(seed), 0
        with connect(url, pool_size=1, **options) as backend:
            timelines, kv = backend.timeline_storage(), backend.kv_storage()
            calls: list[tuple[Callable[[], object], object]] = [
                (lambda: timelines.contains("key", 3), True),
                (lambda: timelines.index_of("key", 3), 7),
                (lambda: timelines.count("key"), 10),
                (lambda: timelines.get_page("key", 3).floor, None),
                (lambda: timelines.add(f"own:{seed}", 1) and timelines.remove(f"own:{seed}", 1), 1),
                (partial(_kept, kv, f"own:{seed}", seed), seed),
            ]
            for _ in range(20):
                call, expected = chance.choice(calls)
                wrong += call() != expected
        return wrong

    assert run_in_threads([partial(client, seed) for seed in range(6)]) == [0] * 6


def _kept(kv: KvStorage, key: str, value: int) -> object:
    kv.upsert(key, value)
    return kv.fetch_one(key)


@pytest.mark.parametrize(("more", "options"), [("", {}), (_IGNORING, {}), ("", {"pooler": "transaction"})])
def test_transaction_mode(make_pooler: MakePooler, more: str, options: dict[str, str]) -> None:
    _assert_right_answers(make_pooler("transaction", more=more).url, **options)


@pytest.mark.parametrize("options", [{}, {"pooler": "session"}])
def test_session_mode(make_pooler: MakePooler, options: dict[str, str]) -> None:
    _assert_right_answers(make_pooler("session", size=10).url, **options)


def test_session_mode_prepares_and_bounds_statements(make_pooler: MakePooler) -> None:
    with SqlBackend(make_pooler("session").url, pooler="session", statement_timeout=0.2) as backend:
        for _ in range(10):
            backend.ping()
        assert backend.session.store.fetch("SELECT count(*) > 0 FROM pg_prepared_statements", ()) == [(True,)]
        with pytest.raises(StorageTimeoutError, match="statement_timeout"):
            backend.session.store.fetch("SELECT pg_sleep(30)", ())


def test_the_client_bounds_statements_where_the_server_does_not(make_pooler: MakePooler) -> None:
    with SqlBackend(make_pooler("transaction", size=1).url, statement_timeout=0.2) as backend:
        poll_until(lambda: _answers(backend), 20, "the first answer")
        with pytest.raises(StorageTimeoutError, match="did not answer"):
            backend.session.store.fetch("SELECT pg_sleep(30)", ())
        # The pooler's only connection to the server is free again.
        poll_until(lambda: _answers(backend), 20, "an answer through the pooler")


def _answers(backend: SqlBackend) -> bool:
    try:
        backend.ping()
    except StorageTimeoutError:
        return False
    return True


def test_a_server_without_a_pooler_is_not_taken_for_one(migrated_database: str) -> None:
    with SqlBackend(migrated_database) as backend:
        for _ in range(10):
            backend.ping()
        assert backend.session.store.fetch("SELECT count(*) > 0 FROM pg_prepared_statements", ()) == [(True,)]
        assert backend.session.store.fetch("SHOW statement_timeout", ()) == [("1min",)]


def test_a_pooler_that_was_denied_refuses(make_pooler: MakePooler) -> None:
    with (
        connect(make_pooler("transaction").url, pooler="none") as backend,
        pytest.raises(StorageUnavailableError, match="pooler"),
    ):
        backend.ping()


def _watched(url: str, direct_url: str, **options: Any) -> None:
    """The writes of another process reach a subscription through the pooler."""
    received = threading.Event()
    with (
        connect(direct_url) as writer,
        connect(url, **options) as backend,
        backend.notifier().subscribe(lambda keys: received.set()) as subscription,
    ):
        subscription.add(["key"])
        assert received.wait(30), "the first look"
        for number in range(3):
            received.clear()
            writer.timeline_storage(notifier=writer.notifier()).add("key", number + 1)
            assert received.wait(30)


def test_changes_are_polled_through_a_pooler(
    make_pooler: MakePooler, migrated_database: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "feedstore.backends.sql"):
        _watched(make_pooler("transaction").url, migrated_database)
    assert [record.message for record in caplog.records if "listen_url" in record.message]


def test_pushes_are_polled_through_a_pooler(make_pooler: MakePooler, migrated_database: str) -> None:
    received = threading.Event()
    with (
        connect(migrated_database) as producer,
        connect(make_pooler("transaction").url) as backend,
        backend.notifier().subscribe_kind(Kind.QUEUE, lambda keys: received.set()) as subscription,
    ):
        subscription.add(["jobs"])
        assert received.wait(30), "the first poll"
        received.clear()
        producer.queue("jobs").push("job")
        assert received.wait(30)


@pytest.mark.parametrize("listens_at", ["server", "session"])
def test_changes_are_received_past_a_pooler(
    make_pooler: MakePooler, migrated_database: str, listens_at: str, caplog: pytest.LogCaptureFixture
) -> None:
    if listens_at == "server":
        _watched(make_pooler("transaction").url, migrated_database, listen_url=migrated_database)
    else:
        _watched(make_pooler("session", size=10).url, migrated_database, pooler="session")
    assert not caplog.records


def test_an_engine_through_a_pooler(make_pooler: MakePooler) -> None:
    url = make_pooler("transaction", size=1).url.replace("postgresql:", "postgresql+psycopg:")
    engines = [create_engine(url, pool_size=1) for _ in range(3)]
    backends = [SqlBackend(engine=engine) for engine in engines]
    # psycopg prepares a statement when it is executed for the sixth time.
    for _ in range(7):
        for backend in backends:
            backend.timeline_storage().add("key", 1)
            assert backend.timeline_storage().contains("key", 1) is True
            assert backend.timeline_storage().count("key") == 1
    for engine in engines:
        engine.dispose()


def test_a_listen_url_is_a_servers() -> None:
    with pytest.raises(InvalidValueError, match="listen_url"):
        connect("postgresql://host/database", listen_url="sqlite:///feeds.db")
