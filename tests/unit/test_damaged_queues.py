"""Damaged rows of queues, and subscriptions beside a timeline that cannot be read."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
import redis
from dict_backend import DictBackend, DictSession

from feedstore import connect
from feedstore.errors import NoMessagesException, StoredDataError
from feedstore.storage import Backend
from feedstore.storage.bounds import EVERYTHING
from feedstore.storage.timeline_queue import TimelineQueueStorage
from feedstore.testing.notify_suite import Received
from stores import fresh_namespace

SECONDS = 20.0
Damage = Callable[[], object]


def check_a_damaged_message(backend: Backend, damage: Damage) -> None:
    """Push three messages, damage the second, and see that only this one is refused."""
    queue = backend.queue("mails", visibility_timeout=30)
    queue.push_many([1, 2, 3])
    damage()
    receipt, first = queue.receive()
    assert (first, queue.ack(receipt)) == (1, True)
    with pytest.raises(StoredDataError, match=r"the message with the receipt '(.+)' of the queue 'mails'") as refused:
        queue.receive()
    receipt, third = queue.receive(SECONDS)
    assert (third, queue.ack(receipt)) == (3, True)
    with pytest.raises(NoMessagesException):
        queue.receive()
    damaged = str(refused.value).split("'")[1]
    assert (queue.ack(damaged), queue.count()) == (True, 0)
    # Among others it is left out.
    queue.push_many([1, 2, 3])
    damage()
    assert [message for _, message in queue.receive_many(10)] == [1, 3]
    queue.flush()
    queue.push_many([1, 2])
    damage()
    found: list[str] = []
    received = [queue.receive_many(1, on_damaged=lambda one, data, error: found.append(one)) for _ in range(2)]
    assert [[message for _, message in some] for some in received] == [[1], []]
    assert [queue.ack(one) for one in found] == [True]
    queue.flush()


@pytest.mark.parametrize("data", [b"\xff", "text", 7])
def test_a_damaged_message_in_sqlite(sqlite_url: str, data: object) -> None:
    with connect(sqlite_url, namespace=fresh_namespace()) as backend:
        backend.queue("mails").push(0)
        backend.queue("mails").pop()

        def damage() -> None:
            with sqlite3.connect(sqlite_url.removeprefix("sqlite:///")) as connection:
                connection.execute(
                    "UPDATE feedstore_message SET data = ? WHERE position = (SELECT min(position) + 1 FROM "
                    "feedstore_message WHERE queue_id = (SELECT max(id) FROM feedstore_queue)) "
                    "AND queue_id = (SELECT max(id) FROM feedstore_queue)",
                    (data,),
                )
            connection.close()

        check_a_damaged_message(backend, damage)


def test_a_damaged_message_in_postgresql(postgresql_database: str) -> None:
    with connect(postgresql_database) as backend, psycopg.connect(postgresql_database, autocommit=True) as connection:
        backend.ping()

        def damage() -> None:
            oldest = "(SELECT min(position) + 1 FROM feedstore_message)"
            connection.execute(f"UPDATE feedstore_message SET data = '\\xff' WHERE position = {oldest}")

        check_a_damaged_message(backend, damage)


def test_a_damaged_message_in_memory() -> None:
    with connect("memory://") as backend:
        space: Any = backend.session.space  # type: ignore[attr-defined]

        def damage() -> None:
            bodies = space.queues["mails"].bodies
            bodies[sorted(bodies)[1]] = b"\xff"

        check_a_damaged_message(backend, damage)


def test_a_damaged_message_and_a_damaged_claim_over_timelines(caplog: pytest.LogCaptureFixture) -> None:
    with DictBackend() as backend:
        queue = backend.queue("mails")
        assert isinstance(queue, TimelineQueueStorage)
        timelines, (messages, claims) = queue._timelines, queue._keys

        def damage() -> None:
            second = queue._slice(messages, EVERYTHING)[1][0]
            timelines.remove_from_storage(messages, {second: b""})
            timelines.add_to_storage(messages, {second: b"\xff"})

        check_a_damaged_message(backend, damage)
        queue.push_many([1, 2])
        first, _ = queue.receive()
        for data in (b"\xff", b"\x7f\xf0" + bytes(6), b"\x7f\xf8" + bytes(6)):
            (claim,) = queue._slice(claims, EVERYTHING)[-1:]
            timelines.remove_from_storage(claims, {claim[0]: b""})
            timelines.add_to_storage(claims, {claim[0]: data})
            again, message = queue.receive()
            assert message == 1
        assert (queue.ack(first), queue.ack(again)) == (False, True)
        assert queue.receive()[1] == 2
        assert caplog.text.count("on a message is damaged") >= 3


def test_foreign_entries_in_a_queue_of_redis(redis_url: str) -> None:
    namespace = fresh_namespace()
    with connect(redis_url, namespace=namespace) as backend, redis.Redis.from_url(redis_url) as client:
        queue = backend.queue("mails")
        queue.push_many([1])
        (stream,) = [key for key in client.scan_iter(f"*{namespace}*", count=10_000) if client.type(key) == b"stream"]
        client.xadd(stream, {"foreign": "entry"})
        client.xadd(stream, {"t": b"x" * 8, "m": b"\xff"})
        queue.push_many([3])
        receipt, first = queue.receive()
        assert first == 1
        # A member that is no id among the delivered messages.
        (due,) = [key for key in client.scan_iter(f"*{namespace}*", count=10_000) if _holds(client, key, receipt)]
        client.zadd(due, {"no id": 0})
        damaged = []
        for _ in range(2):
            with pytest.raises(StoredDataError, match="of the queue 'mails'") as refused:
                queue.receive()
            damaged.append(str(refused.value).split("'")[1])
        assert queue.receive()[1] == 3
        assert [queue.ack(one) for one in (receipt, *damaged)] == [True, True, True]
        assert client.zscore(due, "no id") is None


def _holds(client: Any, key: bytes, receipt: str) -> bool:
    return client.type(key) == b"zset" and client.zscore(key, "-".join(receipt.split("-")[:2])) is not None


def test_a_timeline_that_cannot_be_read_hides_no_other_s_changes(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """On a backend that is polled, where one read serves many timelines."""
    real = DictSession.newest_ids

    def newest_ids(self: DictSession, kind: Any, keys: list[str]) -> Any:
        if "damaged" in keys:
            raise OverflowError("int too big")
        return real(self, kind, keys)

    monkeypatch.setattr(DictSession, "newest_ids", newest_ids)
    with DictBackend() as backend:
        received = Received()
        keys = [f"healthy {number}" for number in range(20)]
        with backend.notifier().subscribe(received, recheck_seconds=None) as subscription:
            subscription.add([*keys, "damaged"])
            received.wait_for(*keys, "damaged")
            backend.timeline_storage().add("healthy 7", 1)
            assert received.wait_for("healthy 7") == {"healthy 7"}
        assert caplog.text.count("changes of the timeline 'damaged' are not noticed") == 1
