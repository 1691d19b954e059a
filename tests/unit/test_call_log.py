"""One DEBUG line for each call, and names of storages and backends."""

from __future__ import annotations

import copy
import logging
import pickle
from collections.abc import Iterator
from typing import Any

import pytest

from feedstore import Activity, connect
from feedstore.errors import InvalidTypeError, ItemNotFound
from feedstore.events import BackendEventStore, Event
from feedstore.fanout import HomeFeed
from feedstore.storage import Backend
from feedstore.storage.call_log import LOGGED
from feedstore.testing.calls import ACTIVITY_CALLS, KV_CALLS, TIMELINE_CALLS, call

LIKE = Activity("ann", "like", "photo:7", id=5)


@pytest.fixture
def backend() -> Iterator[Backend]:
    with connect("memory://", namespace="app") as opened:
        yield opened


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[Any]:
    with caplog.at_level(logging.DEBUG, "feedstore.calls"):
        yield lambda: [line.rsplit(" ", 2)[0] for line in caplog.messages]


def test_each_call_is_one_line(backend: Backend, lines: Any) -> None:
    activities, timelines, items = backend.activity_storage(), backend.timeline_storage(), backend.kv_storage()
    queue = backend.queue()
    activities.add(LIKE)
    activities.get(LIKE)
    timelines.add_to_many(["feed:bob", "feed:eve"], [LIKE])
    timelines.get_page("feed:bob", 10)
    timelines.get_slice("feed:bob", 0, None)
    list(timelines.keys())
    items.upsert("key", "value")
    items.get("key")
    list(items.fetch_all())
    with pytest.raises(ItemNotFound):
        items.fetch_one("absent")
    queue.push("message")
    queue.pop()
    assert lines() == [
        "InMemoryActivityStorage.add_many key=<1 items> count=1",
        "InMemoryActivityStorage.get_many key=<1 items> count=1",
        "InMemoryTimelineStorage.add_to_many key=<2 items> count=2",
        "InMemoryTimelineStorage.get_page key='feed:bob' count=1",
        "InMemoryTimelineStorage.get_slice key='feed:bob' count=1",
        "InMemoryTimelineStorage.keys key='' count=2",
        "InMemoryKvStorage.upsert key='key' count=None",
        "InMemoryKvStorage.get key='key' count=1",
        "InMemoryKvStorage.fetch_all key='' count=1",
        "InMemoryKvStorage.fetch_one key='absent' count=ItemNotFound",
        "InMemoryQueueStorage.push_many key=<1 items> count=None",
        "InMemoryQueueStorage.receive_many key=<int> count=1",
        "InMemoryQueueStorage.ack key='1-1' count=True",
    ]


def test_every_public_call_is_logged(backend: Backend, lines: Any, caplog: pytest.LogCaptureFixture) -> None:
    storages = {
        backend.activity_storage(): ACTIVITY_CALLS,
        backend.timeline_storage(): TIMELINE_CALLS,
        backend.kv_storage(): KV_CALLS,
    }
    for storage, calls in storages.items():
        for name, arguments in calls.items():
            backend.timeline_storage().add(*TIMELINE_CALLS["add"])
            backend.kv_storage().upsert("key", 1)
            caplog.clear()
            call(storage, name, arguments)
            assert len(lines()) == 1, name
            assert caplog.messages[0].endswith(" ms")


def test_reads_of_events_are_logged(backend: Backend, lines: Any, caplog: pytest.LogCaptureFixture) -> None:
    events = BackendEventStore(backend)
    events.save(Event("1", "s", 5))
    caplog.clear()
    assert len(list(events.search(0))) == 1
    assert "InMemoryTimelineStorage.get_bodies key='all:1970-01-01' count=1" in lines()


def test_a_batch_logs_what_joins_it(backend: Backend, lines: Any) -> None:
    with backend.batch() as batch:
        batch.timelines.add("feed:bob", LIKE)
        backend.kv_storage().delete("key", batch_interface=batch)
    assert batch.results == [1, None]
    assert lines() == [
        "InMemoryTimelineStorage.add_many key='feed:bob' count=None",
        "InMemoryKvStorage.delete key='key' count=None",
    ]


def test_nothing_is_wrapped_while_the_log_is_off(backend: Backend, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "feedstore.calls"):
        assert type(backend.activity_storage()) is backend.activity_storage_class
        assert type(backend.timeline_storage()) is backend.timeline_storage_class
        assert type(backend.kv_storage()) is backend.kv_storage_class
        assert type(backend.queue()) is backend.queue_storage_class
    assert all(len(name) > 2 for name in LOGGED)


def test_names_of_storages_and_backends(backend: Backend, caplog: pytest.LogCaptureFixture) -> None:
    place = "MemoryBackend('memory://', namespace='app')"
    storages = [backend.activity_storage(), backend.timeline_storage(), backend.kv_storage("a"), backend.queue("b")]
    expected = [
        place,
        f"InMemoryActivityStorage(backend={place})",
        f"InMemoryTimelineStorage(backend={place})",
        f"InMemoryKvStorage(backend={place}, name='a')",
        f"InMemoryQueueStorage(backend={place}, name='b')",
    ]
    assert [repr(one) for one in [backend, *storages]] == expected
    with caplog.at_level(logging.DEBUG, "feedstore.calls"):
        assert repr(backend.kv_storage("a")) == expected[3]


@pytest.mark.parametrize(
    "url", ["sqlite:///unused.db", "postgresql://ann:secret@db.example/feeds", "redis://:secret@cache.example:6380/3"]
)
def test_a_name_holds_no_password(url: str) -> None:
    with connect(url) as backend:
        for named in (backend, backend.activity_storage(), backend.kv_storage("a"), backend.queue("b")):
            assert "secret" not in repr(named)
            assert "namespace='default'" in repr(named)


def test_a_backend_cannot_be_pickled_and_says_what_to_do(backend: Backend) -> None:
    for refused in (backend, backend.timeline_storage(), backend.kv_storage(), {"backend": backend}):
        for refuse in (pickle.dumps, copy.deepcopy):
            with pytest.raises(InvalidTypeError, match=r"MemoryBackend.*cannot be pickled.*connect\(url\)"):
                refuse(refused)
    assert copy.copy(backend).namespace == backend.namespace


def test_feeds_share_a_storage_that_the_logger_has_not_changed(
    backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    feed = HomeFeed("bob", backend)
    feed.add(LIKE)
    assert HomeFeed("eve", backend).timelines is feed.timelines
    assert HomeFeed("bob", backend.with_namespace("other")).count() == 0
    with caplog.at_level(logging.DEBUG, "feedstore.calls"):
        assert HomeFeed("bob", backend).count() == 1
    assert [line.partition(" ")[0] for line in caplog.messages] == ["InMemoryTimelineStorage.count"]
    assert HomeFeed("eve", backend).timelines is feed.timelines
