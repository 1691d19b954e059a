"""Queues and subscriptions whose PostgreSQL server is killed, or ends the connection that listens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import psycopg
import pytest

from feedstore import connect
from feedstore.storage import Backend
from feedstore.testing.notify_suite import Received
from polling import poll_until
from servers.postgresql import OwnPostgreSQLServer

SECONDS = 60.0
LISTENING = "FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND datname = current_database()"


@pytest.fixture
def url(migrated_database: str) -> str:
    """The URL of a database of the test's own."""
    return migrated_database


@pytest.fixture
def backend(url: str) -> Iterator[Backend]:
    """A backend on it."""
    with connect(url) as backend:
        yield backend


def asked(url: str, statement: str) -> int:
    """The number that a statement returns."""
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(statement.encode()).fetchone()
        assert row is not None
        return int(row[0])


def cut_off(url: str) -> None:
    """Let the server end every connection to a database that listens."""
    assert asked(url, f"SELECT count(pg_terminate_backend(pid)) {LISTENING}") == 1


def test_waits_and_watches_live_through_a_lost_connection(url: str, backend: Backend) -> None:
    check_that_waits_and_watches_live_through(partial(cut_off, url), url, backend)


def test_waits_and_watches_live_through_a_restart(own_postgresql_server: OwnPostgreSQLServer) -> None:
    def restart() -> None:
        own_postgresql_server.kill()
        own_postgresql_server.start()

    url = own_postgresql_server.url("postgres")
    with connect(url) as backend:
        check_that_waits_and_watches_live_through(restart, url, backend)


def check_that_waits_and_watches_live_through(disturb: Callable[[], None], url: str, backend: Backend) -> None:
    """Disturb a receive that waits, and a subscription: both continue, and the received message stays received."""
    queue = backend.queue(visibility_timeout=10 * SECONDS)
    queue.push("before")
    receipt, _ = queue.receive()
    received = Received()
    with ThreadPoolExecutor() as pool, backend.notifier().subscribe(received, recheck_seconds=None) as subscription:
        subscription.add(["a", "b"])
        received.wait_for("a", "b")
        waiting = pool.submit(queue.receive, SECONDS)
        poll_until(lambda: asked(url, f"SELECT count(*) {LISTENING}") == 1, SECONDS, "listening")
        disturb()
        # No notification was sent, so no consumer can know.
        received.wait_for("a", "b")
        with connect(url) as other:
            other.queue().push("after")
            other.notifier().publish(["b"])
        assert waiting.result(SECONDS)[1] == "after"
        received.wait_for("b")
    assert queue.ack(receipt) is True
    assert queue.count() == 1


def test_a_push_to_a_full_queue_publishes_nothing_and_keeps_its_length(backend: Backend) -> None:
    queue = backend.queue(max_length=2)
    queue.push_many([1, 2])
    for _ in range(3):
        with pytest.raises(Exception, match="2 messages"):
            queue.push(3)
    assert queue.count() == 2
    assert [queue.pop(), queue.pop()] == [1, 2]
    queue.push_many([3, 4])
    assert queue.count() == 2


def test_foreign_notifications_are_ignored(url: str, backend: Backend, caplog: pytest.LogCaptureFixture) -> None:
    """Any client may notify on a channel. A foreign notification ends nothing, and reaches no subscription."""
    received = Received()
    with backend.notifier().subscribe(received, recheck_seconds=None) as subscription:
        subscription.add(["a", "b"])
        received.wait_for("a", "b")
        with psycopg.connect(url, autocommit=True) as connection:
            for payload in ("", "x", "nothing of ours", "ä"):
                connection.execute("SELECT pg_notify('feedstore_default', %s)", [payload])
        backend.notifier().publish(["b"])
        assert received.wait_for("b") == {"b"}
    assert caplog.text == ""
