"""The contract of pubsub caches, on the stores with documents, and the refusals of arguments."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import pytest

from feedstore import connect
from feedstore.errors import InvalidTypeError, InvalidValueError, PubsubClosedError, UnsupportedError
from feedstore.fanout import FeedManager
from feedstore.pubsub import (
    EventsMissed,
    FollowedNodes,
    ItemsPublished,
    NodeSynchronised,
    PubsubCache,
    RsmRequest,
    ServiceEvent,
)
from feedstore.pubsub.memory_service import MemoryPubsubServer
from feedstore.pubsub.web_feeds import HttpFeedService
from feedstore.storage.documents import NewDocument, NodeKey, SyncState
from feedstore.testing import OpenBackend, PubsubCacheContract
from feedstore.testing.processes import ChildError, run_in_child
from feedstore.testing.pubsub_setting import NODE, PubsubSetting, entry
from polling import poll_until
from pubsub.web_server import Page, WebServer, atom, ids


@pytest.mark.parametrize("backend_kind", ["sqlite", "postgresql"])
class TestPubsubCaches(PubsubCacheContract):
    @pytest.fixture
    def open_backend(self, shared_backend: OpenBackend) -> OpenBackend:
        return shared_backend


@pytest.mark.parametrize("backend_kind", ["sqlite"])
def test_refused_arguments(shared_backend: OpenBackend) -> None:
    backend, service = shared_backend(), MemoryPubsubServer().service("ann")
    refused: list[tuple[dict[str, Any], type[Exception]]] = [
        ({"max_items": 0}, InvalidValueError),
        ({"max_items": "many"}, InvalidValueError),
        ({"threads": 0}, InvalidValueError),
        ({"parser_seconds": 0}, InvalidValueError),
        ({"sync_deadline": 3600}, InvalidTypeError),
        ({"refresh_after": timedelta(0)}, InvalidValueError),
        ({"dead_after": timedelta(seconds=-1)}, InvalidValueError),
    ]
    for options, error in refused:
        with pytest.raises(error, match=next(iter(options))):
            PubsubCache(service, backend, **options)
    with pytest.raises(InvalidTypeError, match="PubsubService"):
        PubsubCache("ann", backend)  # type: ignore[arg-type]
    cache = PubsubCache(service, backend)
    for request in (
        {"max_items": 3, "item_ids": ["i1"]},
        {"max_items": 3, "rsm": RsmRequest(max=3)},
        {"order_by": "size"},
        {"max_items": -1},
    ):
        with pytest.raises(InvalidValueError):
            cache.get_items("blog", **request)
    cache.close()
    cache.close()
    assert not service.closed
    with pytest.raises(PubsubClosedError):
        cache.get_items("blog")
    service.close()


@pytest.mark.parametrize("backend_kind", ["sqlite"])
def test_a_process_that_is_killed_during_a_synchronisation(shared_backend: OpenBackend) -> None:
    """Another process synchronises the node again, although it holds an event until the end of the synchronisation."""
    with ExitStack() as opened:
        setting = PubsubSetting(shared_backend(), opened)
        setting.publish(60)

        def synchronise() -> None:
            own = PubsubSetting(shared_backend(setting.backend.namespace), opened)
            own.publish(60)
            own.before_second_page(lambda: os.kill(os.getpid(), signal.SIGKILL))
            own.cache().synchronise(NODE)

        with pytest.raises(ChildError, match="status 9"):
            run_in_child(synchronise)
        ann = setting.service("ann")
        cache, received = setting.cache(service=ann), list[ServiceEvent]()
        assert setting.state() is SyncState.IN_PROGRESS
        assert cache.documents.page(setting.key(), limit=0).count == 50
        cache.add_listener(received.append)
        ann.subscribe(NODE)
        setting.owner.publish(NODE, entry("new"), item_id="new")
        ann.wait_for_events()
        page = setting.cached(cache, rsm=RsmRequest(max=100))
        assert [item.id for item in page.items] == [f"i{one}" for one in range(1, 61)] + ["new"]
        poll_until(lambda: len(received) == 2, 30, "the events")
        assert [type(one) for one in received] == [ItemsPublished, NodeSynchronised]


@pytest.mark.parametrize(("state", "expected"), [(SyncState.COMPLETED, ["i3"]), (SyncState.ERROR, ["i1"])])
@pytest.mark.parametrize("backend_kind", ["sqlite"])
def test_a_node_that_is_followed_while_another_process_synchronises_it(
    shared_backend: OpenBackend, state: SyncState, expected: list[str]
) -> None:
    """The items are published after the end of the synchronisation. If it fails, no activities are removed."""
    with ExitStack() as opened:
        setting = PubsubSetting(shared_backend(), opened)
        cache, ended = setting.cache(analyser=False), threading.Event()
        documents, key, token = cache.documents, setting.key(), f"other{cache._process()[0].new_token()}"
        documents.add_node(key)
        documents.claim_sync(key, token, states=[None])
        documents.put_items(key, [NewDocument("i1", b"<one/>")], sync_token=token)
        manager = FeedManager(setting.backend)
        nodes = FollowedNodes(cache, manager)
        cache.add_listener(lambda event: ended.set() if isinstance(event, NodeSynchronised) else None)
        nodes.follow("bob", NODE)

        def published() -> list[str]:
            return [str(one.object) for one in manager.get_feeds("bob")["normal"][:9]]

        assert (published(), ended.is_set()) == (["i1"], False)
        workers, watch = cache._process()[1], cache._watch(key)
        poll_until(lambda: bool(watch.held) and not workers.has_events_of(key), 30, "the event of the end")
        cache.synchronise(NODE)
        assert not workers.has_events_of(key)
        documents.purge_node(key)
        documents.put_items(key, [NewDocument("i3", b"<three/>")], sync_token=token)
        documents.finish_sync(key, token, state)
        assert ended.wait(30)
        assert published() == expected
        nodes.close()


@pytest.mark.parametrize("backend_kind", ["sqlite"])
def test_entries_that_have_left_a_web_feed(
    shared_backend: OpenBackend, server: WebServer, service: HttpFeedService
) -> None:
    """A cache keeps them after events and synchronisations, also after one that fails or was abandoned."""
    node, synchronised = f"{server.url}/feed", list[ServiceEvent]()
    key = NodeKey(service.account, service.default_service, node)
    server.pages["/feed"] = Page(atom(2, 1))
    with PubsubCache(service, shared_backend()) as cache:
        cache.add_listener(lambda event: synchronised.append(event) if isinstance(event, NodeSynchronised) else None)
        cache.synchronise(node)
        server.pages["/feed"] = Page(atom(3, 2))
        service.poll(node)
        poll_until(lambda: cache.documents.page(key, limit=0).count == 3, 30, "the event")
        server.pages["/feed"] = Page(atom(4, 3))
        service._notify(EventsMissed(service.default_service, node))
        poll_until(lambda: len(synchronised) == 2, 30, "the second synchronisation")
        requests = len(server.requests)
        assert ids(cache.get_items(node).items) == ["urn:1", "urn:2", "urn:3", "urn:4"]
        assert len(server.requests) == requests
        server.pages["/feed"] = Page(status=410)
        for state in (SyncState.COMPLETED, SyncState.IN_PROGRESS):
            cache.documents.update_node(key, sync_state=state, sync_token=None, sync_reason=None)
            found = cache.documents.get_node(key)
            assert found is not None
            assert cache._synchroniser.run(found, [SyncState.COMPLETED])
            after = cache.documents.get_node(key)
            assert after is not None
            assert (after.sync_state, "410" in str(after.sync_reason)) == (SyncState.COMPLETED, True)
        assert cache.documents.page(key, limit=0).count == 4


def test_other_stores_are_refused_by_name() -> None:
    with connect("memory://") as backend, pytest.raises(UnsupportedError, match="MemoryBackend"):
        PubsubCache(MemoryPubsubServer().service("ann"), backend)
