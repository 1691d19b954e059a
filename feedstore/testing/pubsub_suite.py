"""The contract of pubsub caches: their answers and their synchronisations."""

from __future__ import annotations

import os
import threading
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any

import pytest

from feedstore.errors import InvalidValueError, PubsubItemNotFound, PubsubServiceError, PubsubUnavailableError
from feedstore.pubsub.memory_service import MemoryPubsubService
from feedstore.pubsub.values import ItemsPage, RsmRequest
from feedstore.storage.documents import Document, DocumentQuery, NewDocument, NodeKey, SyncState
from feedstore.testing.processes import Child, run_in_child, run_in_threads
from feedstore.testing.pubsub_setting import LONG, NODE, PubsubSetting, PubsubSuiteBase, entry, ids
from feedstore.testing.suite import OpenBackend
from feedstore.testing.waiting import wait_until


class PubsubCacheSuite(PubsubSuiteBase):
    """Requests, synchronisation and recovery."""

    def test_the_first_request_is_served_by_the_service_and_later_ones_by_the_cache(
        self, setting: PubsubSetting
    ) -> None:
        """The answers are the same, byte for byte."""
        setting.publish(3)
        cache = setting.cache()
        page, is_cached = setting.answer(cache, max_items=2)
        assert (ids(page), is_cached) == (["i2", "i3"], False)
        assert setting.cached(cache, max_items=2).items == page.items
        node = setting.node()
        assert node is not None
        assert (node.type, node.analyser, node.subscribed) == ("blog", "entries", True)
        assert [one.parsed for one in cache.documents.get_items(node.key, ["i2"])] == [
            {"title": "item 2", "words": ["item", "2"]}
        ]

    def test_requests_past_the_cache(self, setting: PubsubSetting) -> None:
        """Requests with ``use_cache=False`` and requests for an archive reach the service."""
        setting.publish(1)
        cache = setting.cache()
        setting.synchronised(cache)
        for past in ({"use_cache": False}, {"extra": {"use_cache": False}}, {"extra": {"mam": {"start": 0}}}):
            page, is_cached = setting.answer(cache, max_items=1, **past)
            assert (page.items[0].payload, is_cached) == (entry("item 1"), False)

    def test_accounts_are_apart(self, setting: PubsubSetting) -> None:
        """The items that one account may read never answer another."""
        setting.owner.create_node(NODE, configuration={"pubsub#access_model": "whitelist"})
        setting.publish(2)
        setting.server.set_affiliation(NODE, "ann", "member")
        ann, bob = setting.cache("ann"), setting.cache("bob")
        setting.synchronised(ann)
        with pytest.raises(PubsubServiceError):
            bob.get_items(NODE)
        assert bob.synchronise(NODE) is not None
        with pytest.raises(PubsubServiceError):
            bob.get_items(NODE)
        assert len(ann.search(DocumentQuery())) == 2
        assert len(bob.search(DocumentQuery())) == 0
        with pytest.raises(InvalidValueError, match="ann"):
            bob.search(DocumentQuery(accounts=["ann"]))
        assert (bob.purge(), bob.reset()) == (0, 1)
        assert ids(setting.cached(ann, max_items=9)) == ["i1", "i2"]

    def test_newest_items(self, setting: PubsubSetting) -> None:
        """Without a page, the last modified items are returned, the newest of them last."""
        setting.publish(22)
        setting.owner.publish(NODE, entry("edited"), item_id="i2")
        cache = setting.cache()
        setting.synchronised(cache)
        numbers = [f"i{one}" for one in range(1, 23)]
        edited = [one for one in numbers if one != "i2"] + ["i2"]
        assert ids(setting.cached(cache, max_items=None)) == edited[-20:]
        assert ids(setting.cached(cache, max_items=3)) == ["i21", "i22", "i2"]
        assert ids(setting.cached(cache, max_items=3, order_by="creation")) == ["i20", "i21", "i22"]
        assert ids(setting.cached(cache, max_items=0)) == []
        assert ids(setting.cached(cache, item_ids=["i9", "none", "i2"])) == ["i9", "i2"]

    def test_pages(self, setting: PubsubSetting) -> None:
        """The answers are those of the service."""
        setting.publish(7)
        cache = setting.cache()
        setting.synchronised(cache)
        for request in (
            RsmRequest(max=3),
            RsmRequest(max=3, after="i3"),
            RsmRequest(max=3, after="i7"),
            RsmRequest(max=3, before="i3"),
            RsmRequest(max=3, before="i1"),
            RsmRequest(max=3, before=""),
            RsmRequest(max=2, index=5),
            RsmRequest(max=2, index=9),
            RsmRequest(max=0),
            RsmRequest(before="i4"),
        ):
            expected = setting.owner.get_items(NODE, rsm=request, order_by="creation")
            assert setting.cached(cache, rsm=request) == expected, request
        for request in (RsmRequest(max=3, after="none"), RsmRequest(max=3, before="none")):
            with pytest.raises(PubsubItemNotFound):
                cache.get_items(NODE, rsm=request)

    def test_concurrent_first_requests_synchronise_once(
        self, setting: PubsubSetting, open_backend: OpenBackend
    ) -> None:
        """Of caches in several threads, one claims the node."""
        setting.publish(60)
        caches = [setting.cache(backend=open_backend(setting.backend.namespace)) for _ in range(4)]
        run_in_threads([partial(one.get_items, NODE) for one in caches])
        for cache in caches:
            setting.synchronised(cache)
        assert setting.requests.count(("ann", "subscribe", NODE)) == 1

    def test_concurrent_processes_synchronise_once(self, setting: PubsubSetting, open_backend: OpenBackend) -> None:
        """Of several processes, one claims the node; a forked child uses its own connections and threads."""
        setting.publish(60)
        namespace = setting.backend.namespace

        def request() -> int:
            own = PubsubSetting(open_backend(namespace), setting._opened)
            own.publish(60)
            cache, ready = own.cache(), own.backend.kv_storage("ready")
            # A process that begins after the synchronisation verifies the node by another one.
            ready.upsert(str(os.getpid()), True)
            wait_until(lambda: len(list(ready.keys())) == 2, "the start of the other process")
            own.synchronised(cache)
            return own.requests.count(("ann", "subscribe", NODE))

        children = [Child(request) for _ in range(2)]
        assert sorted(child.result() for child in children) == [0, 1]

    def test_a_forked_child_verifies_and_answers(self, setting: PubsubSetting) -> None:
        """A cache of the parent has its own threads in a child."""
        setting.publish(3)
        cache = setting.cache()
        setting.synchronised(cache)

        def read() -> list[str]:
            return ids(setting.cached(cache, max_items=9))

        assert run_in_child(read) == ["i1", "i2", "i3"]
        assert read() == ["i1", "i2", "i3"]

    def test_a_request_during_a_synchronisation_is_served_by_the_service(self, setting: PubsubSetting) -> None:
        """Nothing half-synchronised is served."""
        setting.publish(60)
        cache, resume = setting.cache(), threading.Event()

        def hold(account: str, method: str, node: str) -> None:
            if threading.current_thread().name == "feedstore-pubsub-cache":
                resume.wait(20)

        setting.hook = hold
        cache.get_items(NODE)
        assert len(cache.get_items(NODE, max_items=50).items) == 50
        resume.set()
        setting.synchronised(cache)
        assert setting.cached(cache, rsm=RsmRequest(max=0)).rsm.count == 60  # type: ignore[union-attr]

    def test_a_node_that_is_deleted_while_it_is_read(
        self, setting: PubsubSetting, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The service answers if another process deletes or synchronises a node while its items are read."""
        setting.publish(2)
        cache = setting.cache()
        setting.synchronised(cache)
        newest = cache.documents.newest

        def delete_first(*arguments: Any, **options: Any) -> list[Document]:
            setting.backend.document_storage().delete_node(setting.key())
            return newest(*arguments, **options)

        for answered in (cache._watch(setting.key()).answered, None):
            cache.synchronise(NODE)
            cache._watch(setting.key()).answered = answered
            monkeypatch.setattr(cache.documents, "newest", delete_first)
            assert ids(cache.get_items(NODE, max_items=9)) == ["i1", "i2"]
            monkeypatch.setattr(cache.documents, "newest", newest)

    def test_limits(self, setting: PubsubSetting) -> None:
        """A node with too many items is not synchronised, and a synchronisation has a deadline."""
        setting.publish(60)
        few = setting.cache(max_items=59).synchronise(NODE)
        assert few is not None
        assert (few.sync_state, "max_items=59" in str(few.sync_reason)) == (SyncState.ERROR, True)
        late = setting.cache(sync_deadline=timedelta(microseconds=1)).synchronise(NODE, resync=True)
        assert late is not None
        assert (late.sync_state, "longer than" in str(late.sync_reason)) == (SyncState.ERROR, True)
        assert setting.backend.document_storage().newest(late.key, 1) == []
        assert not setting.is_cached(setting.cache())

    def test_a_service_without_pages(self, setting: PubsubSetting) -> None:
        """Such a node is complete only if the service returned fewer items than were requested."""
        setting.server.rsm = False
        setting.publish(3)
        full = setting.cache(max_items=3).synchronise(NODE)
        assert full is not None
        assert (full.sync_state, "XEP-0059" in str(full.sync_reason)) == (SyncState.ERROR, True)
        cache = setting.cache(max_items=4)
        cache.synchronise(NODE, resync=True)
        assert ids(setting.cached(cache, rsm=RsmRequest(max=2, after="i1"))) == ["i2", "i3"]

    def test_a_service_that_repeats_items(self, setting: PubsubSetting) -> None:
        """A service that returns its first page forever ends the synchronisation with a reason."""

        class Repeating(MemoryPubsubService):
            def get_items(self, node: str, **request: Any) -> ItemsPage:
                if request.get("rsm") is not None:
                    request["rsm"] = RsmRequest(max=request["rsm"].max)
                return super().get_items(node, **request)

        setting.publish(60)
        node = setting.cache(service=Repeating("ann", setting.server)).synchronise(NODE)
        assert node is not None
        assert (node.sync_state, node.sync_reason) == (SyncState.ERROR, "the service returned the item 'i1' twice")

    def test_a_service_that_fails_after_half_of_the_items(self, setting: PubsubSetting) -> None:
        """Nothing half-synchronised is served or kept; the failed state lasts until a call with ``resync``."""
        setting.publish(60)
        cache = setting.cache()
        setting.server.fail(PubsubUnavailableError("gone"), operation="get_items", after=2, times=1)
        cache.get_items(NODE, max_items=1)
        wait_until(lambda: setting.state() is SyncState.ERROR, "the failure")
        assert cache.documents.newest(setting.key(), 1) == []
        assert not setting.is_cached(cache)
        assert setting.state() is SyncState.ERROR
        cache.synchronise(NODE)
        assert setting.state() is SyncState.ERROR
        cache.synchronise(NODE, resync=True)
        assert setting.cached(cache, rsm=RsmRequest(max=0)).rsm.count == 60  # type: ignore[union-attr]

    def test_recovery_after_a_crash(self, setting: PubsubSetting) -> None:
        """A node whose process ended, or gave no sign of life for long, is synchronised again."""
        setting.publish(3)
        documents = setting.backend.document_storage()

        def claim() -> str:
            own = setting.cache("ann")
            token = own._process()[0].new_token()
            documents.add_node(setting.key())
            assert documents.claim_sync(setting.key(), token, states=[None, SyncState.COMPLETED])
            documents.put_items(setting.key(), [NewDocument("half", b"<half/>")], sync_token=token)
            return token

        run_in_child(claim)
        cache = setting.cache()
        assert ids(setting.cached(cache, max_items=9)) == ["i1", "i2", "i3"]
        host, *rest = claim().split("/")
        for place in (f"not-{host}", f"{host}1"):
            documents.update_node(setting.key(), sync_token="/".join([place, *rest]))
            assert not setting.is_cached(cache)
            assert setting.state() is SyncState.IN_PROGRESS
        documents.update_node(setting.key(), sync_state_updated=datetime.now(timezone.utc) - LONG)
        assert ids(setting.cached(cache, max_items=9)) == ["i1", "i2", "i3"]

    def test_explicit_synchronisation(self, setting: PubsubSetting) -> None:
        """It needs no analyser, does nothing for a node that was tried, and ``resync`` begins again."""
        setting.publish(3)
        cache = setting.cache(analyser=False)
        assert not setting.is_cached(cache)
        assert setting.node() is None
        node = cache.synchronise(NODE)
        assert node is not None
        assert (node.sync_state, node.analyser) == (SyncState.COMPLETED, None)
        assert setting.is_cached(cache)
        assert cache.synchronise(NODE) == node
        assert cache.purge() == 3
        assert ids(setting.cached(cache, max_items=9)) == []
        cache.synchronise(NODE, resync=True)
        assert ids(setting.cached(cache, max_items=9)) == ["i1", "i2", "i3"]
        token = cache._process()[0].new_token()
        cache.documents.claim_sync(setting.key(), f"other{token}", states=[SyncState.COMPLETED])
        running = cache.synchronise(NODE, resync=True)
        assert running is not None
        assert running.sync_state is SyncState.IN_PROGRESS

    def test_explicit_synchronisation_waits_for_a_thread_of_the_cache(self, setting: PubsubSetting) -> None:
        """If a thread of the cache has begun the synchronisation, the call returns after its end."""
        setting.publish(3)
        cache, (reached, resume) = setting.cache(), setting.hold_subscriptions()
        node, _ = cache.documents.add_node(setting.key())
        thread = threading.Thread(target=cache._synchroniser.run, args=(node, [None]))
        thread.start()
        assert reached.wait(20)
        cache.documents.update_node(node.key, sync_state=None)
        threading.Timer(0.05, resume.set).start()
        found = cache.synchronise(NODE)
        thread.join(20)
        assert found is not None
        assert found.sync_state is SyncState.COMPLETED

    def test_a_thread_that_refreshes_a_node_prevents_no_explicit_synchronisation(
        self, setting: PubsubSetting, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The node is synchronised although a thread begins to refresh it before it is deleted."""
        setting.publish(2)
        cache = setting.cache()
        setting.synchronised(cache)
        (reached, resume), delete = setting.hold_subscriptions(), cache.documents.delete_node

        def refresh_first(key: NodeKey) -> bool | None:
            cache._watch(key).refresh_reason = "a test"
            cache.get_items(NODE)
            assert reached.wait(20)
            deleted = delete(key)
            resume.set()
            return deleted

        monkeypatch.setattr(cache.documents, "delete_node", refresh_first)
        node = cache.synchronise(NODE, resync=True)
        assert (node is not None, setting.state()) == (True, SyncState.COMPLETED)

    def test_nodes_that_are_not_wanted(self, setting: PubsubSetting) -> None:
        """A node whose analyser does not synchronise it is not synchronised for an analyser that comes later."""
        setting.publish(1)
        cache = setting.cache(analyser=False)
        cache.register_analyser("any", "blog", node=NODE)
        cache.get_items(NODE)
        wait_until(lambda: setting.state() is SyncState.NO_SYNC, "the analysis")
        cache.register_analyser("wanted", "blog", node=NODE, to_sync=True, priority=1)
        assert not setting.is_cached(cache)
        assert setting.state() is SyncState.NO_SYNC

    def test_a_failed_subscription_is_refreshed_by_age(self, setting: PubsubSetting) -> None:
        """The failure is recorded, and the node is synchronised again once it is old."""
        setting.publish(2)
        setting.server.fail(PubsubServiceError("no", "not-allowed"), operation="subscribe")
        cache = setting.cache(refresh_after=LONG)
        setting.synchronised(cache)
        node = setting.node()
        assert node is not None
        assert (node.subscribed, "the subscription failed: no" in str(node.sync_reason)) == (False, True)
        setting.owner.publish(NODE, entry("new"), item_id="new")
        assert ids(setting.cached(cache, max_items=9)) == ["i1", "i2"]
        cache.documents.update_node(node.key, sync_state_updated=datetime.now(timezone.utc) - 2 * LONG)
        wait_until(lambda: "new" in ids(setting.cached(cache, max_items=9)), "the refresh")

    def test_purge_and_reset(self, setting: PubsubSetting) -> None:
        """A purged node answers without the items, and a reset one is synchronised again."""
        setting.publish(2)
        cache = setting.cache()
        setting.synchronised(cache)
        assert cache.purge() == 2
        page, is_cached = setting.answer(cache, max_items=9)
        assert (ids(page), is_cached) == ([], True)
        assert cache.reset() == 1
        assert setting.node() is None
        assert ids(setting.cached(cache, max_items=9)) == ["i1", "i2"]

    def test_a_closed_cache_has_no_threads(self, setting: PubsubSetting) -> None:
        """A synchronisation that is interrupted by ``close`` leaves no state."""
        setting.publish(60)
        cache, (reached, resume) = setting.cache(), setting.hold_subscriptions()
        cache.get_items(NODE, max_items=1)
        assert reached.wait(20)
        threads = cache._process()[1].threads
        threading.Timer(0.05, resume.set).start()
        cache.close()
        wait_until(lambda: not any(one.is_alive() for one in threads), "the end of the threads")
        assert len(threads) >= 1
        assert setting.state() is None
        assert cache.documents.newest(setting.key(), 1) == []

    def test_a_fault_of_the_cache_breaks_no_request(self, setting: PubsubSetting) -> None:
        """A request goes to the service if the store or an analyser fails."""
        setting.publish(1)
        cache = setting.cache(analyser=False)

        def fail(service: object, analysis: object) -> None:
            raise RuntimeError("a defect of the application")

        cache.register_analyser("broken", "blog", node=NODE, to_sync=True, match_cb=fail)
        assert ids(cache.get_items(NODE)) == ["i1"]
        setting.backend.close()
        assert ids(cache.get_items(NODE)) == ["i1"]
