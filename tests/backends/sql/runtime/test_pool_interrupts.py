"""Exceptions that a signal handler raises at any moment, on PostgreSQL: no place of the pool is lost, and no connection
is used again whose state is unknown.
"""

from __future__ import annotations

import random
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from sqlalchemy import create_engine
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

import soak
from feedstore.backends.sql import SqlBackend
from feedstore.backends.sql.pools import LifoPool
from feedstore.errors import StorageTimeoutError
from interrupting import CHECKPOINTS, HardInterrupt, interrupted_at
from polling import poll_until

pytestmark = pytest.mark.parametrize("database_kind", ["postgresql"])
_ENGINE_FILES = ("sql/connection.py", "sql/call_connections.py", "sql/database.py")
_FILES = (*_ENGINE_FILES, "sql/pools.py", "postgresql/client.py", "postgresql/driver.py")


def test_an_interrupt_amid_a_statement(database_url: str) -> None:
    with _alarm(), SqlBackend(database_url, pool_size=1, pool_timeout=0.1) as backend:
        backend.timeline_storage().add("key", 0)

        def sleep_until_the_alarm() -> None:
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            backend.session.store.fetch("SELECT pg_sleep(30)", ())

        with pytest.raises(HardInterrupt):
            sleep_until_the_alarm()
        assert backend.timeline_storage().add("key", 1) == 1


def test_a_keyboard_interrupt_cancels_the_statement(database_url: str) -> None:
    """The server would go on with it for as long as it takes, and no caller waits for its answer."""
    running = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(30)' AND state = 'active'"

    def press(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    with SqlBackend(database_url) as backend, psycopg.connect(database_url, autocommit=True) as observer:
        backend.ping()
        before = signal.signal(signal.SIGALRM, press)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            with pytest.raises(KeyboardInterrupt):
                backend.session.store.fetch("SELECT pg_sleep(30)", ())
        finally:
            signal.signal(signal.SIGALRM, before)
        poll_until(lambda: observer.execute(running).fetchone() == (0,), 10, "the end of the statement")
        assert backend.timeline_storage().add("key", 1) == 1


@pytest.mark.soak
def test_an_interrupt_after_every_instruction(database_url: str) -> None:
    """The exception is kept: it refers to every frame that it passed, and so to the objects of these frames."""
    step = soak.count(5, 1)
    with SqlBackend(database_url, pool_size=1, pool_timeout=5) as backend:
        for call in (_read, _write, _write_batch):
            call(backend)
            position, kept = random.Random(call.__name__).randrange(step), []
            while (error := _interrupted_at(position, call, backend)) is not None:
                assert sys.exc_info() == (None, None, None)
                kept.append(error)
                _assert_sound(backend)
                position += step
            assert len(kept) > 2


# Python reports and drops exceptions in the destructors and the callbacks of weak references of libraries.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.soak
def test_interrupts_at_random_moments(database_url: str) -> None:
    chance = random.Random(0)
    # The frames of an exception keep a connection open that was being made.
    kept: deque[HardInterrupt] = deque(maxlen=20)
    with _alarm(), SqlBackend(database_url, pool_size=1, pool_timeout=5) as backend:
        for number in range(soak.count(120, 5000)):
            try:
                signal.setitimer(signal.ITIMER_REAL, chance.choice([1e-4, 3e-4, 1e-3, 3e-3]) * chance.uniform(0.5, 2))
                chance.choice([_read, _write, _write_batch])(backend)
                signal.setitimer(signal.ITIMER_REAL, 0)
            except HardInterrupt as error:
                kept.append(error)
            if number % 20 == 0:
                _assert_sound(backend)
    assert kept


def test_an_engine_that_was_handed_in(database_url: str) -> None:
    engine = create_engine(
        database_url.replace("postgresql://", "postgresql+psycopg://"), pool_size=1, max_overflow=0, pool_timeout=5
    )
    with SqlBackend(engine=engine) as backend:
        _write(backend)
        position = 0
        while _interrupted_at(position, _write, backend, _ENGINE_FILES) is not None:
            assert sys.exc_info() == (None, None, None)
            _assert_sound(backend)
            position += 3
        assert position > 20
    engine.dispose()


def test_an_error_of_a_full_pool_has_no_other_context(database_url: str) -> None:
    with SqlBackend(database_url, pool_size=1, pool_timeout=0.1) as backend:
        backend.ping()
        pool = backend.session.store._connections
        assert isinstance(pool, LifoPool)
        (process,) = pool._processes.values()
        held: list[Any] = []
        pool._take(process, held)
        with pytest.raises(StorageTimeoutError) as caught:
            pool._take(process, [])
        assert isinstance(caught.value.__cause__, PoolTimeoutError)
        assert caught.value.__context__ is None
        pool._put_back(process, held, True)


def test_a_connection_whose_place_was_lost_is_replaced(database_url: str) -> None:
    """As if two interrupts had come, the second one during the cleanup of the first: the call never gave back."""
    with SqlBackend(database_url, pool_size=2, pool_timeout=0.1) as backend:
        backend.ping()
        pool = backend.session.store._connections
        assert isinstance(pool, LifoPool)
        (process,) = pool._processes.values()
        hands: list[list[Any]] = [[], []]
        for hand in hands:
            pool._take(process, hand)
        with pytest.raises(StorageTimeoutError, match="pool_size"):
            backend.ping()
        for hand in hands:
            hand.clear()
        _assert_sound(backend)


def _read(backend: SqlBackend) -> None:
    backend.timeline_storage().get_slice("key", 0, 5)


def _write(backend: SqlBackend) -> None:
    backend.timeline_storage().add("key", random.randrange(2**64))


def _write_batch(backend: SqlBackend) -> None:
    entry = random.randrange(2**64)
    with backend.batch(atomic=True) as batch:
        for key in ("one", "other"):
            backend.timeline_storage().add(key, entry, batch_interface=batch)


def _assert_sound(backend: SqlBackend) -> None:
    """Another thread's calls work, each batch is stored as a whole, and the pool is no larger."""
    results: list[object] = []

    def work() -> None:
        timelines = backend.timeline_storage()
        one, other = (timelines.get_slice(key, 0, None) for key in ("one", "other"))
        results.extend([one == other, timelines.add("sound", random.randrange(2**64))])

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(60)
    assert results == [True, 1]
    assert backend.session.store.fetch("SELECT 7", ()) == [(7,)]


def _interrupted_at(
    position: int, call: Callable[[SqlBackend], None], backend: SqlBackend, files: tuple[str, ...] = _FILES
) -> HardInterrupt | None:
    """Raise an exception after one of the instructions of a call at which CPython runs signal handlers."""
    return interrupted_at(position, lambda: call(backend), files, CHECKPOINTS)


@contextmanager
def _alarm() -> Iterator[None]:
    """Let SIGALRM raise, and set the handler back."""

    def interrupt(*arguments: object) -> None:
        raise HardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_no_more_connections_are_open_than_the_pool_holds(database_url: str) -> None:
    with SqlBackend(database_url, pool_size=2, pool_timeout=5) as backend, psycopg.connect(database_url) as observer:
        kept = [_interrupted_at(position, _write, backend) for position in range(5, 60, 5)]
        assert sys.exc_info() == (None, None, None)
        _assert_sound(backend)
        counted = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ((count,),) = observer.execute(counted).fetchall()
        assert len(kept) > count <= 2
