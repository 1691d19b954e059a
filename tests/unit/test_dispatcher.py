"""The dispatcher's thread, and the changes that polled backends find by themselves."""

from __future__ import annotations

import gc
import logging
import threading
import weakref
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from typing import Any

import pytest
from dict_backend import DictBackend

from feedstore import connect
from feedstore.backends.memory import MemoryBackend
from feedstore.backends.memory.session import MemorySession
from feedstore.errors import BackendClosedError, StorageUnavailableError
from feedstore.storage import Backend
from feedstore.storage.notify import dispatcher
from feedstore.storage.notify.registry import Kind, Topic, TopicRegistry
from feedstore.storage.notify.source import LocalSource, TopicSource
from feedstore.storage.timeline_queue import TimelineQueueStorage
from feedstore.testing.notify_suite import Received
from polling import poll_until

SECONDS = 20.0


@pytest.fixture
def backend() -> Iterator[Backend]:
    """A backend in memory."""
    with connect("memory://") as backend:
        yield backend


def threads() -> list[threading.Thread]:
    """The threads of dispatchers that are running."""
    return [thread for thread in threading.enumerate() if thread.name == "feedstore-dispatcher"]


def test_a_backend_has_one_thread_and_only_while_there_are_keys(backend: Backend) -> None:
    before = len(threads())
    received = Received()
    subscriptions = [backend.with_namespace(f"space{number}").notifier().subscribe(received) for number in range(5)]
    assert len(threads()) == before
    for subscription in subscriptions:
        subscription.add(["key"])
    assert len(threads()) == before + 1
    backend.close()
    assert len(threads()) == before


def test_the_thread_ends_without_keys_and_another_begins(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    before = len(threads())
    monkeypatch.setattr(dispatcher, "_LINGER_SECONDS", 0.05)
    received = Received()
    notifier = backend.notifier()
    for _ in range(3):
        with notifier.subscribe(received) as subscription:
            subscription.add(["key"])
            notifier.publish(["key"])
            received.wait_for("key")
            assert len(threads()) == before + 1
        poll_until(lambda: len(threads()) == before, SECONDS, "the end of the thread")


def test_a_source_s_defect_stops_no_subscription(
    backend: Backend, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """N3: changes that it may have missed are delivered, and so are later ones."""

    class Mistaken(LocalSource):
        waits = 0

        def wait(self, registry: TopicRegistry[Any], seconds: float) -> Collection[bytes] | None:
            self.waits += 1
            if self.waits == 1:
                raise ZeroDivisionError
            return super().wait(registry, seconds)

    monkeypatch.setattr(backend.session, "make_source", Mistaken)
    received = Received()
    with backend.notifier().subscribe(received, recheck_seconds=None) as subscription:
        subscription.add(["a", "b"])
        received.wait_for("a", "b")
        backend.notifier().publish(["b"])
        received.wait_for("b")
    assert "ZeroDivisionError" in caplog.text


def test_a_thread_that_cannot_begin_begins_with_the_next_key(backend: Backend) -> None:
    received = Received()
    subscription = backend.notifier().subscribe(received)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading.Thread, "start", _cannot_start)
        with pytest.raises(RuntimeError, match="can't start"):
            subscription.add(["a"])
    subscription.add(["a"])
    backend.notifier().publish(["a"])
    received.wait_for("a")


def _cannot_start(_: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_a_closed_subscription_is_not_referenced(backend: Backend) -> None:
    """Not until its recheck either, which may be far away."""
    received = Received()
    kept = backend.notifier().subscribe(received, recheck_seconds=3_600)
    closed = []
    for _ in range(300):
        with backend.notifier().subscribe(Received(), recheck_seconds=3_600) as subscription:
            subscription.add(["key"])
        closed.append(weakref.ref(subscription))
    del subscription
    gc.collect()
    assert len([one for one in closed if one() is not None]) < 100
    kept.add(["key"])
    backend.notifier().publish(["key"])
    received.wait_for("key")


def test_a_dispatcher_that_is_made_while_another_thread_closes(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = dispatcher.Dispatcher.__init__

    def close_meanwhile(self: dispatcher.Dispatcher, make_source: Callable[[], TopicSource]) -> None:
        backend.close()
        make(self, make_source)

    notifier = backend.notifier()
    monkeypatch.setattr(dispatcher.Dispatcher, "__init__", close_meanwhile)
    with pytest.raises(BackendClosedError):
        notifier.subscribe(Received())


def test_a_publication_that_fails_fails_no_write(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(MemorySession):
        def publish_topics(self, topics: Sequence[Topic]) -> None:
            raise StorageUnavailableError("the server went away")

    with MemoryBackend() as backend:
        backend.session = Failing()
        timelines = backend.timeline_storage(notifier=backend.notifier())
        assert timelines.add("key", 1) == 1
        with backend.batch() as batch:
            timelines.add("key", 2, batch_interface=batch)
        assert batch.results == [1]
        assert caplog.text.count("could not be published") == 2
        with pytest.raises(StorageUnavailableError):
            backend.notifier().publish(["key"])


def test_a_write_whose_backend_is_closed_before_it_is_published_has_not_failed(
    backend: Backend, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Another thread may close it between the two."""
    notifier = backend.notifier()
    timelines = backend.timeline_storage(notifier=notifier)
    publish = notifier.publish

    def close_before(keys: list[str]) -> None:
        backend.close()
        publish(keys)

    monkeypatch.setattr(notifier, "publish", close_before)
    assert timelines.add("key", 1) == 1
    assert caplog.text.count("could not be published") == 1
    with pytest.raises(BackendClosedError):
        publish(["key"])


def test_a_removal_of_nothing_publishes_nothing() -> None:
    published: list[str] = []

    class Publishing(MemorySession):
        def publish_topics(self, topics: Sequence[Topic]) -> None:
            published.extend(topic.key for topic in topics)

    with MemoryBackend() as backend:
        backend.session = Publishing()
        timelines = backend.timeline_storage(notifier=backend.notifier())
        timelines.add_many("key", [1, 2])
        published.clear()
        timelines.remove("key", 3)
        timelines.remove_many("key", [])
        timelines.remove_from_many(["key", "other"], [3])
        timelines.trim("key", 2)
        assert published == []
        timelines.trim("key", 1)
        assert published == ["key"]


def test_what_on_close_raises_is_logged(backend: Backend, caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise RuntimeError("on purpose")

    backend.notifier().subscribe(Received(), on_close=fail)
    with caplog.at_level(logging.ERROR):
        backend.close()
    assert "on purpose" in caplog.text


def test_a_polled_backend_finds_writes_that_were_not_published() -> None:
    with DictBackend() as backend:
        received = Received()
        with backend.notifier().subscribe(received, recheck_seconds=None) as subscription:
            subscription.add(["a", "b"])
            received.wait_for("a", "b")
            backend.timeline_storage().add("b", 1)
            assert received.wait_for("b") == {"b"}


def test_a_sqlite_file_shows_every_change_by_others(sqlite_url: str) -> None:
    with connect(sqlite_url, namespace="changes") as backend, connect(sqlite_url, namespace="changes") as other:
        received = Received()
        timelines = other.timeline_storage()
        timelines.add_many("a", [10, 20, 30])
        with backend.notifier().subscribe(received, recheck_seconds=None) as subscription:
            subscription.add(["a", "b"])
            received.wait_for("a", "b")
            writes: list[Callable[[], object]] = [
                partial(timelines.add, "a", 5),
                partial(timelines.remove, "a", 20),
                partial(timelines.trim, "a", 1),
                partial(timelines.delete, "a"),
                partial(timelines.add, "a", 40),
            ]
            for write in writes:
                write()
                assert received.wait_for("a") == {"a"}


def test_a_queue_over_timelines_does_not_show_among_them() -> None:
    with DictBackend() as backend:
        queue = backend.queue("name" * 256)
        assert isinstance(queue, TimelineQueueStorage)
        queue.push_many([1, 2])
        queue.receive()
        assert list(backend.timeline_storage().keys()) == []
        backend.timeline_storage().flush()
        assert queue.count() == 2


def test_a_queue_over_timelines_leaves_no_claim_behind() -> None:
    with DictBackend() as backend:
        queue = backend.queue(visibility_timeout=0.05)
        assert isinstance(queue, TimelineQueueStorage)
        timelines, claims = queue._timelines, queue._keys[1]
        queue.push(1)
        for _ in range(4):
            receipt, _ = queue.receive(SECONDS)
        # One claim holds, and one that it replaced may be there still.
        assert timelines._count(claims) <= 2
        assert queue.ack(receipt) is True
        assert timelines._count(claims) == 0
        dropping = backend.queue(visibility_timeout=0.05, max_length=1, when_full="drop_oldest")
        dropping.push(1)
        dropping.receive()
        dropping.push(2)
        assert dropping.receive(SECONDS)[1] == 2
        assert dropping.receive(SECONDS)[1] == 2
        assert timelines._count(claims) <= 2


def test_topics_have_digests_of_their_own() -> None:
    keys = ("a", "\0a", "a\0", "b")
    digests = {Topic(namespace, kind, key).digest for namespace in ("a", "b") for kind in Kind for key in keys}
    assert len(digests) == 16
    assert {len(digest) for digest in digests} == {8}


def test_a_topic_stays_until_its_last_subscriber_is_discarded() -> None:
    registry: TopicRegistry[str] = TopicRegistry()
    topic = Topic("space", Kind.TIMELINE, "key")
    registry.add("one", [topic])
    registry.add("two", [topic, topic])
    assert registry.keys_by_subscriber([topic.digest, b"unknown"]) == {"one": {"key"}, "two": {"key"}}
    registry.discard("one", [topic, topic])
    assert registry.keys_by_subscriber(None) == {"two": {"key"}}
    assert registry.namespaces() == {"space"}
    registry.discard("two", [topic])
    assert (bool(registry), registry.namespaces(), registry.topics()) == (False, set(), [])
