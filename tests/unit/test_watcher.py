"""The watcher's thread, and what polled backends notice by themselves."""

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
from feedstore.errors import BackendClosedError, StorageUnavailableError
from feedstore.storage import Backend, watcher
from feedstore.storage.timeline_queue import TimelineQueueStorage
from feedstore.storage.topic import Kind, Topic
from feedstore.storage.topic_source import LocalSource, TopicSource
from feedstore.storage.watched import Watched
from feedstore.testing.notify_suite import Told
from polling import poll_until

SECONDS = 20.0


@pytest.fixture
def backend() -> Iterator[Backend]:
    """A backend in memory."""
    with connect("memory://") as backend:
        yield backend


def threads() -> list[threading.Thread]:
    """The threads of watchers that are running."""
    return [thread for thread in threading.enumerate() if thread.name == "feedstore-watcher"]


def test_a_backend_has_one_thread_and_only_while_something_is_watched(backend: Backend) -> None:
    before = len(threads())
    told = Told()
    watches = [backend.with_namespace(f"space{number}").notifier().watch(told) for number in range(5)]
    assert len(threads()) == before
    for watch in watches:
        watch.add(["key"])
    assert len(threads()) == before + 1
    backend.close()
    assert len(threads()) == before


def test_the_thread_ends_when_nothing_is_watched_and_another_begins(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = len(threads())
    monkeypatch.setattr(watcher, "_LINGER_SECONDS", 0.05)
    told = Told()
    notifier = backend.notifier()
    for _ in range(3):
        with notifier.watch(told) as watch:
            watch.add(["key"])
            notifier.announce(["key"])
            told.wait_for("key")
            assert len(threads()) == before + 1
        poll_until(lambda: len(threads()) == before, SECONDS, "the end of the thread")


def test_a_source_s_mistake_leaves_no_watch_deaf(
    backend: Backend, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """N3: what it may have missed is told of, and so is what comes later."""

    class Mistaken(LocalSource):
        waits = 0

        def wait(self, watched: Watched[Any], seconds: float) -> Collection[bytes] | None:
            self.waits += 1
            if self.waits == 1:
                raise ZeroDivisionError
            return super().wait(watched, seconds)

    monkeypatch.setattr(backend, "make_source", Mistaken)
    told = Told()
    with backend.notifier().watch(told, recheck_seconds=None) as watch:
        watch.add(["a", "b"])
        told.wait_for("a", "b")
        backend.notifier().announce(["b"])
        told.wait_for("b")
    assert "ZeroDivisionError" in caplog.text


def test_a_thread_that_cannot_begin_begins_with_the_next_key(backend: Backend) -> None:
    told = Told()
    watch = backend.notifier().watch(told)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading.Thread, "start", _cannot_start)
        with pytest.raises(RuntimeError, match="can't start"):
            watch.add(["a"])
    watch.add(["a"])
    backend.notifier().announce(["a"])
    told.wait_for("a")


def _cannot_start(_: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_a_watch_that_was_closed_is_held_no_longer(backend: Backend) -> None:
    """Not until its recheck either, which may be far away."""
    told = Told()
    kept = backend.notifier().watch(told, recheck_seconds=3_600)
    closed = []
    for _ in range(300):
        with backend.notifier().watch(Told(), recheck_seconds=3_600) as watch:
            watch.add(["key"])
        closed.append(weakref.ref(watch))
    del watch
    gc.collect()
    assert len([one for one in closed if one() is not None]) < 100
    kept.add(["key"])
    backend.notifier().announce(["key"])
    told.wait_for("key")


def test_a_watcher_that_is_made_while_another_thread_closes(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    make = watcher.Watcher.__init__

    def close_meanwhile(self: watcher.Watcher, make_source: Callable[[], TopicSource]) -> None:
        backend.close()
        make(self, make_source)

    notifier = backend.notifier()
    monkeypatch.setattr(watcher.Watcher, "__init__", close_meanwhile)
    with pytest.raises(BackendClosedError):
        notifier.watch(Told())


def test_an_announcement_that_fails_fails_no_write(caplog: pytest.LogCaptureFixture) -> None:
    class Mute(MemoryBackend):
        def announce_topics(self, topics: Sequence[Topic]) -> None:
            raise StorageUnavailableError("the server went away")

    with Mute() as backend:
        timelines = backend.timeline_storage(notifier=backend.notifier())
        assert timelines.add("key", 1) == 1
        with backend.batch() as batch:
            timelines.add("key", 2, batch_interface=batch)
        assert batch.results == [1]
        assert caplog.text.count("could not be announced") == 2
        with pytest.raises(StorageUnavailableError):
            backend.notifier().announce(["key"])


def test_a_write_whose_backend_is_closed_before_it_is_announced_has_not_failed(
    backend: Backend, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Another thread may close it between the two."""
    notifier = backend.notifier()
    timelines = backend.timeline_storage(notifier=notifier)
    announce = notifier.announce

    def close_before(keys: list[str]) -> None:
        backend.close()
        announce(keys)

    monkeypatch.setattr(notifier, "announce", close_before)
    assert timelines.add("key", 1) == 1
    assert caplog.text.count("could not be announced") == 1
    with pytest.raises(BackendClosedError):
        announce(["key"])


def test_what_removes_nothing_is_not_announced() -> None:
    announced: list[str] = []

    class Heard(MemoryBackend):
        def announce_topics(self, topics: Sequence[Topic]) -> None:
            announced.extend(topic.key for topic in topics)

    with Heard() as backend:
        timelines = backend.timeline_storage(notifier=backend.notifier())
        timelines.add_many("key", [1, 2])
        announced.clear()
        timelines.remove("key", 3)
        timelines.remove_many("key", [])
        timelines.remove_from_many(["key", "other"], [3])
        timelines.trim("key", 2)
        assert announced == []
        timelines.trim("key", 1)
        assert announced == ["key"]


def test_what_on_close_raises_is_logged(backend: Backend, caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise RuntimeError("on purpose")

    backend.notifier().watch(Told(), on_close=fail)
    with caplog.at_level(logging.ERROR):
        backend.close()
    assert "on purpose" in caplog.text


def test_a_polled_backend_notices_writes_that_nobody_announced() -> None:
    with DictBackend() as backend:
        told = Told()
        with backend.notifier().watch(told, recheck_seconds=None) as watch:
            watch.add(["a", "b"])
            told.wait_for("a", "b")
            backend.timeline_storage().add("b", 1)
            assert told.wait_for("b") == {"b"}


def test_a_sqlite_file_shows_every_change_by_others(sqlite_url: str) -> None:
    with connect(sqlite_url, namespace="changes") as backend, connect(sqlite_url, namespace="changes") as other:
        told = Told()
        timelines = other.timeline_storage()
        timelines.add_many("a", [10, 20, 30])
        with backend.notifier().watch(told, recheck_seconds=None) as watch:
            watch.add(["a", "b"])
            told.wait_for("a", "b")
            writes: list[Callable[[], object]] = [
                partial(timelines.add, "a", 5),
                partial(timelines.remove, "a", 20),
                partial(timelines.trim, "a", 1),
                partial(timelines.delete, "a"),
                partial(timelines.add, "a", 40),
            ]
            for write in writes:
                write()
                assert told.wait_for("a") == {"a"}


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
        assert timelines.count(claims) <= 2
        assert queue.ack(receipt) is True
        assert timelines.count(claims) == 0
        dropping = backend.queue(visibility_timeout=0.05, max_length=1, when_full="drop_oldest")
        dropping.push(1)
        dropping.receive()
        dropping.push(2)
        assert dropping.receive(SECONDS)[1] == 2
        assert dropping.receive(SECONDS)[1] == 2
        assert timelines.count(claims) <= 2


def test_topics_are_told_apart() -> None:
    keys = ("a", "\0a", "a\0", "b")
    digests = {Topic(namespace, kind, key).digest for namespace in ("a", "b") for kind in Kind for key in keys}
    assert len(digests) == 16
    assert {len(digest) for digest in digests} == {8}


def test_what_is_watched_by_several_stays_until_the_last_lets_go() -> None:
    watched: Watched[str] = Watched()
    topic = Topic("space", Kind.TIMELINE, "key")
    watched.add("one", [topic])
    watched.add("two", [topic, topic])
    assert watched.who_watches([topic.digest, b"unknown"]) == {"one": {"key"}, "two": {"key"}}
    watched.discard("one", [topic, topic])
    assert watched.who_watches(None) == {"two": {"key"}}
    assert watched.namespaces() == {"space"}
    watched.discard("two", [topic])
    assert (bool(watched), watched.namespaces(), watched.topics()) == (False, set(), [])
