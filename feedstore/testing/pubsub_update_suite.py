"""The contract of pubsub caches: live updates, parsers and searches."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from feedstore.errors import PubsubServiceError, PubsubUnavailableError
from feedstore.fanout import FeedManager
from feedstore.pubsub.followed_nodes import FollowedNodes
from feedstore.pubsub.values import (
    ItemsPublished,
    ItemsRetracted,
    NodeConfigured,
    NodeSynchronised,
    RsmRequest,
    ServiceEvent,
    ServiceItem,
)
from feedstore.storage.documents import Condition, Document, DocumentFilter, DocumentQuery, SyncState
from feedstore.testing.pubsub_setting import NODE, PubsubSetting, PubsubSuiteBase, entry, ids, parse_entry
from feedstore.testing.suite import OpenBackend
from feedstore.testing.waiting import wait_until


class PubsubUpdateSuite(PubsubSuiteBase):
    """Live updates, and their repair."""

    def test_events_change_a_synchronised_node(self, setting: PubsubSetting) -> None:
        """Publication, edit and retraction, in the orders of creation and of modification."""
        setting.publish(3)
        cache = setting.cache()
        setting.synchronised(cache)
        setting.owner.publish(NODE, entry("new"), item_id="i4")
        setting.owner.publish(NODE, entry("edited"), item_id="i2")
        setting.owner.retract(NODE, ["i1"])
        cache.service.wait_for_events()  # type: ignore[attr-defined]
        page = setting.cached(cache, rsm=RsmRequest(max=9))
        assert ids(page) == ["i2", "i3", "i4"]
        assert page.items[0].payload == entry("edited")
        assert page == setting.owner.get_items(NODE, rsm=RsmRequest(max=9), order_by="creation")
        assert ids(setting.cached(cache, max_items=9)) == ["i3", "i4", "i2"]
        assert [one.parsed for one in cache.documents.get_items(setting.key(), ["i2"])] == [
            {"title": "edited", "words": ["edited"]}
        ]
        setting.owner.purge_node(NODE)
        cache.service.wait_for_events()  # type: ignore[attr-defined]
        assert ids(setting.cached(cache, max_items=9)) == []
        setting.owner.delete_node(NODE)
        wait_until(lambda: setting.node() is None, "the deletion")

    def test_events_that_change_nothing(self, setting: PubsubSetting) -> None:
        """A retraction without an id, and events of nodes that are unknown or not synchronised."""
        setting.publish(2)
        cache = setting.cache()
        setting.synchronised(cache)
        cache.documents.add_node(setting.key(node="unwanted"), sync_state=SyncState.NO_SYNC)
        for event in (
            ItemsRetracted(setting.server.address, NODE, ("",)),
            ItemsPublished(setting.server.address, "unknown", (ServiceItem("x", b"<x/>"),)),
            ItemsPublished(setting.server.address, "unwanted", (ServiceItem("x", b"<x/>"),)),
        ):
            cache._receive(event)
        assert ids(setting.cached(cache, max_items=9)) == ["i1", "i2"]
        assert cache.cached_nodes(DocumentFilter(nodes=["unknown"])) == []
        assert len(cache.search(DocumentQuery())) == 2

    def test_changes_during_a_synchronisation_are_not_lost(self, setting: PubsubSetting) -> None:
        """No older page replaces the change of an event, and nothing that was retracted comes back."""
        setting.publish(70)
        cache = setting.cache()

        def change() -> None:
            setting.owner.publish(NODE, entry("edited"), item_id="i1")
            setting.owner.retract(NODE, ["i2", "i60"])
            setting.owner.publish(NODE, entry("new"), item_id="new")
            cache.service.wait_for_events()  # type: ignore[attr-defined]

        setting.before_second_page(change)
        cache.synchronise(NODE)
        page = setting.cached(cache, rsm=RsmRequest(max=100))
        assert ids(page) == [f"i{one}" for one in range(1, 71) if one not in (2, 60)] + ["new"]
        assert page.items[0].payload == entry("edited")
        assert ids(setting.cached(cache, max_items=2)) == ["i1", "new"]

    def test_a_purge_during_a_synchronisation(self, setting: PubsubSetting) -> None:
        """The items of the pages before the purge are removed, and those after it stay."""
        setting.publish(70)
        cache = setting.cache()

        def change() -> None:
            setting.owner.purge_node(NODE)
            setting.owner.publish(NODE, entry("new"), item_id="new")

        setting.before_second_page(change)
        cache.synchronise(NODE)
        assert ids(setting.cached(cache, max_items=9)) == ["new"]

    def test_events_in_another_process_wait_for_the_synchronisation(
        self, setting: PubsubSetting, open_backend: OpenBackend
    ) -> None:
        """A process that does not synchronise the node applies its events once the synchronisation has ended."""
        setting.publish(3)
        first = setting.cache(backend=open_backend(setting.backend.namespace))
        setting.synchronised(first)
        second = setting.cache(analyser=False)
        setting.synchronised(second)
        documents, token = setting.backend.document_storage(), f"other{second._process()[0].new_token()}"
        documents.claim_sync(setting.key(), token, states=[SyncState.COMPLETED], keep_items=True)
        setting.owner.publish(NODE, entry("new"), item_id="new")
        second.service.wait_for_events()  # type: ignore[attr-defined]
        assert not setting.is_cached(second)
        assert len(documents.newest(setting.key(), 9)) == 3
        documents.finish_sync(setting.key(), token, SyncState.COMPLETED, subscribed=True)
        assert ids(setting.cached(second, max_items=1)) == ["new"]

    def test_missed_events_are_repaired(self, setting: PubsubSetting) -> None:
        """After a lost connection the service answers, until the node has been compared with it."""
        setting.publish(3)
        cache = setting.cache()
        setting.synchronised(cache)
        with setting.server.losing_events():
            setting.owner.publish(NODE, entry("lost"), item_id="lost")
            setting.owner.publish(NODE, entry("edited"), item_id="i3")
            setting.owner.retract(NODE, ["i1"])
        cache.service.wait_for_events()  # type: ignore[attr-defined]
        page = setting.cached(cache, rsm=RsmRequest(max=9))
        assert [(item.id, item.payload) for item in page.items] == [
            ("i2", entry("item 2")),
            ("i3", entry("edited")),
            ("lost", entry("lost")),
        ]

    def test_a_failed_repair_keeps_the_items_for_searches(self, setting: PubsubSetting) -> None:
        """While the service fails, the items are not served as complete, and they are not lost."""
        setting.publish(2)
        cache = setting.cache()
        setting.synchronised(cache)
        setting.server.fail(PubsubUnavailableError("gone"), operation="get_items")
        with setting.server.losing_events():
            pass
        wait_until(lambda: "gone" in str(getattr(setting.node(), "sync_reason", "")), "the failure")
        assert setting.state() is SyncState.COMPLETED
        assert len(cache.search(DocumentQuery())) == 2
        setting.server.recover()
        cache._process()[0].watch(setting.key()).note_success()
        setting.synchronised(cache)

    def test_a_restart_verifies_each_node(self, setting: PubsubSetting) -> None:
        """Events that came while no process listened are repaired at the next request; ``trust_stored`` omits that."""
        setting.publish(2)
        cache = setting.cache()
        setting.synchronised(cache)
        cache.close()
        setting.owner.publish(NODE, entry("new"), item_id="new")
        trusting = setting.cache(trust_stored=True)
        page, is_cached = setting.answer(trusting, max_items=9)
        assert (ids(page), is_cached) == (["i1", "i2"], True)
        later = setting.cache()
        assert ids(later.get_items(NODE, max_items=9)) == ["i1", "i2", "new"]
        assert ids(setting.cached(later, max_items=9)) == ["i1", "i2", "new"]

    def test_a_lost_right_ends_the_cached_answers(self, setting: PubsubSetting) -> None:
        """An account that may not read any more has no cached items after the next verification."""
        setting.publish(2)
        cache = setting.cache()
        setting.synchronised(cache)
        setting.owner.configure_node(NODE, {"pubsub#access_model": "whitelist"})
        old = datetime.now(timezone.utc) - timedelta(days=2)
        cache.documents.update_node(setting.key(), sync_state_updated=old)
        for _ in range(2):
            with pytest.raises(PubsubServiceError):
                cache.get_items(NODE)
            wait_until(lambda: setting.state() is SyncState.ERROR, "the refusal")
        assert len(cache.search(DocumentQuery())) == 0

    def test_own_changes_are_read_back(self, setting: PubsubSetting) -> None:
        """A request after a change of this account never returns the state before it."""
        setting.publish(2)
        cache = setting.cache("owner", service=setting.owner)
        setting.synchronised(cache)
        for number in range(5):
            item_id = cache.publish(NODE, entry(f"own {number}"))
            assert ids(cache.get_items(NODE, max_items=1)) == [item_id]
            cache.retract(NODE, [item_id])
            assert ids(cache.get_items(NODE, max_items=1)) == ["i2"]
        setting.synchronised(cache)
        cache.delete_node(NODE)
        assert setting.node("owner") is None

    def test_items_that_the_service_drops(self, setting: PubsubSetting, monkeypatch: pytest.MonkeyPatch) -> None:
        """A node with a maximum of items drops the oldest without an event, and so does the cache.

        Until it has, requests go to the service, also one during which it removes them.
        """
        setting.owner.create_node(NODE, configuration={"pubsub#max_items": "3"})
        setting.publish(3)
        cache = setting.cache()
        setting.synchronised(cache)
        for number in (4, 5):
            setting.owner.publish(NODE, entry("new"), item_id=f"i{number}")
            cache.service.wait_for_events()  # type: ignore[attr-defined]
            assert setting.cached(cache, max_items=9).items == setting.owner.get_items(NODE).items
        assert len(cache.search(DocumentQuery())) == 3
        assert setting.requests.count(("ann", "subscribe", NODE)) == 1
        watch, newest = cache._watch(setting.key()), cache.documents.newest

        def remove_before(*arguments: Any, **options: Any) -> list[Document]:
            watch.uncounted = 0
            return newest(*arguments, **options)

        monkeypatch.setattr(cache.documents, "newest", remove_before)
        watch.uncounted = 1
        assert not setting.answer(cache, max_items=9)[1]

    def test_items_that_the_service_drops_during_a_read(
        self, setting: PubsubSetting, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """No answer holds an item that the service dropped when it received another item of the answer."""
        setting.owner.create_node(NODE, configuration={"pubsub#max_items": "3"})
        setting.publish(3)
        cache, is_read, reader = setting.cache(), threading.Event(), threading.current_thread()
        setting.synchronised(cache)
        setting.hook = lambda *_: threading.current_thread() is reader or is_read.wait(10)
        newest, watch = cache.documents.newest, cache._watch(setting.key())

        def read_too_many(*arguments: Any, **options: Any) -> list[Document]:
            monkeypatch.undo()
            setting.owner.publish(NODE, entry("new"), item_id="i4")
            wait_until(lambda: watch.uncounted, "the new item")
            found = newest(*arguments, **options)
            is_read.set()
            wait_until(lambda: not watch.uncounted, "the removal of the dropped item")
            return found

        monkeypatch.setattr(cache.documents, "newest", read_too_many)
        assert ids(cache.get_items(NODE, max_items=9)) == ["i2", "i3", "i4"]

    def test_listeners_receive_events_after_their_application(self, setting: PubsubSetting) -> None:
        """A listener of the cache reads the new state from the cache's storage."""
        setting.publish(1)
        cache, seen = setting.cache(), list[tuple[type[ServiceEvent], int]]()
        cache.add_listener(lambda event: seen.append((type(event), len(cache.documents.newest(setting.key(), 9)))))
        setting.synchronised(cache)
        setting.owner.publish(NODE, entry("new"), item_id="new")
        wait_until(lambda: len(seen) == 2, "the events")
        assert seen == [(NodeSynchronised, 1), (ItemsPublished, 2)]

    def test_parsers_that_fail(self, setting: PubsubSetting) -> None:
        """An item that its parser cannot parse, or that JSON cannot hold, is kept unparsed, and the others parsed."""
        results: dict[str, Callable[[], Any]] = {
            "i1": lambda: {"title": "one"},
            "i2": lambda: 1 / 0,
            "i3": lambda: ["no dict"],
            "i4": lambda: {"object": object()},
            "i5": lambda: {"infinite": float("inf")},
            "i6": lambda: {"nul": "a\0b"},
            "i7": lambda: {"large": "x" * (5 << 20)},
            "i8": lambda: {"title": "eight"},
        }
        setting.publish(len(results))
        cache = setting.cache(analyser=False)
        cache.register_analyser(
            "entries", "blog", node=NODE, to_sync=True, parser=lambda item, service, node: results[item.id]()
        )
        setting.synchronised(cache)
        held = {one.item_id: one for one in cache.documents.newest(setting.key(), 9)}
        assert {name: one.parsed for name, one in held.items() if one.parsed is not None} == {
            "i1": {"title": "one"},
            "i8": {"title": "eight"},
        }
        assert held["i2"].payload == entry("item 2")
        report = cache.reparse()
        assert (report.parsed, report.unparsed, len(report.failed)) == (2, 0, 6)
        assert "division by zero" in report.failed[setting.key(), "i2"]

    def test_slow_parsers(self, setting: PubsubSetting) -> None:
        """An item whose parser takes too long is kept unparsed."""
        resume = threading.Event()

        def parse(item: ServiceItem, service: str, node: str) -> dict[str, Any]:
            if item.id == "i2":
                resume.wait(20)
            return {"id": item.id}

        setting.publish(3)
        cache = setting.cache(analyser=False, parser_seconds=0.05)
        cache.register_analyser("entries", "blog", node=NODE, to_sync=True, parser=parse)
        setting.synchronised(cache)
        resume.set()
        parsed = {one.item_id: one.parsed for one in cache.documents.newest(setting.key(), 9)}
        assert parsed == {"i1": {"id": "i1"}, "i2": None, "i3": {"id": "i3"}}

    def test_reparse(self, setting: PubsubSetting) -> None:
        """Without its analyser an item has no parsed content, and a later parser parses it again."""
        setting.publish(3)
        setting.synchronised(setting.cache())
        bare = setting.cache(analyser=False)
        report = bare.reparse()
        assert (report.parsed, report.unparsed, report.failed) == (0, 3, {})
        assert {one.document.parsed for one in bare.search(DocumentQuery())} == {None}
        before = bare.documents.newest(setting.key(), 3)
        cache = setting.cache()
        assert cache.reparse(DocumentFilter(nodes=[NODE])).parsed == 3
        after = bare.documents.newest(setting.key(), 3)
        assert [(one.item_id, one.updated) for one in after] == [(one.item_id, one.updated) for one in before]
        assert after[0].parsed == parse_entry(ServiceItem("i1", entry("item 1")), "", "")

    def test_search(self, setting: PubsubSetting) -> None:
        """The words of the items are found, and their markup is not."""
        setting.publish(3)
        cache = setting.cache()
        setting.synchronised(cache)
        assert [one.document.item_id for one in cache.search(DocumentQuery(text="item"))] == ["i1", "i2", "i3"]
        assert len(cache.search(DocumentQuery(text="title"))) == 0
        titled = DocumentQuery(conditions=[Condition("title", "==", "item 2")])
        assert [(one.key, one.document.item_id) for one in cache.search(titled)] == [(setting.key(), "i2")]

    def test_hard_payloads(self, setting: PubsubSetting) -> None:
        """Malformed XML, entity bombs, 10 MiB and clocks that go back: each item is kept as it is, in order."""
        bomb = b"<!DOCTYPE b [<!ENTITY a 'x'><!ENTITY b '&a;&a;'>]><b>&b;</b>"
        payloads = [entry("first"), b"<open><title>malformed", bomb, b"", b"\xff\xfe\0", b"<e>" + b"a " * (5 << 20)]
        moments = [datetime(2026, 1, 10, tzinfo=timezone.utc) - timedelta(days=one) for one in range(12)]
        setting.server._clock = iter(moments).__next__
        for number, payload in enumerate(payloads, 1):
            setting.owner.publish(NODE, payload, item_id=f"i{number}")
        cache = setting.cache(analyser=False)
        cache.register_analyser("any", "blog", node=NODE, to_sync=True)
        setting.synchronised(cache)
        page = setting.cached(cache, rsm=RsmRequest(max=9))
        assert [item.payload for item in page.items] == payloads
        setting.owner.publish(NODE, entry("last"), item_id="i7")
        cache.service.wait_for_events()  # type: ignore[attr-defined]
        assert ids(setting.cached(cache, rsm=RsmRequest(max=2, before=""))) == ["i6", "i7"]
        assert ids(setting.cached(cache, max_items=1)) == ["i7"]

    def test_followed_nodes(self, setting: PubsubSetting) -> None:
        """Items of a followed node become activities of its producer, and follow its changes."""
        setting.publish(3)
        cache = setting.cache()
        manager = FeedManager(setting.backend)
        nodes = FollowedNodes(cache, manager)
        assert nodes.follow("bob", NODE)
        producer = nodes.producer(NODE)

        def feed() -> list[tuple[str, str | None]]:
            found = manager.get_feeds("bob")["normal"][:10]
            return [(str(one.object), (one.extra_context["content"] or {}).get("title")) for one in found]

        assert feed() == [("i3", "item 3"), ("i2", "item 2"), ("i1", "item 1")]
        assert nodes.followed() == [setting.key()]
        cache.documents.claim_sync(setting.key(), "other", states=[SyncState.COMPLETED])
        nodes.reconcile(NODE)
        assert len(feed()) == 3
        cache.documents.finish_sync(setting.key(), "other", SyncState.COMPLETED)
        cache.synchronise(NODE, resync=True)
        setting.owner.publish(NODE, entry("new"), item_id="i4")
        setting.owner.publish(NODE, entry("edited"), item_id="i2")
        setting.owner.retract(NODE, ["i1"])
        expected = [("i4", "new"), ("i3", "item 3"), ("i2", "edited")]
        wait_until(lambda: feed() == expected, "the activities")
        with setting.server.losing_events():
            setting.owner.publish(NODE, entry("again"), item_id="i3")
            setting.owner.retract(NODE, ["i4"])
        wait_until(lambda: feed() == [("i3", "again"), ("i2", "edited")], "the repair")
        assert nodes.unfollow("bob", NODE)
        assert feed() == []
        assert len(manager.get_user_feed(producer)[:10]) == 2
        nodes.close()

    def test_configuration_events(self, setting: PubsubSetting) -> None:
        """A changed configuration is kept and forwarded, and the node stays synchronised."""
        setting.publish(1)
        cache, seen = setting.cache(), list[type[ServiceEvent]]()
        setting.synchronised(cache)
        cache.add_listener(lambda event: seen.append(type(event)))
        setting.owner.configure_node(NODE, {"pubsub#title": "Blog"})
        wait_until(lambda: NodeConfigured in seen, "the event")
        setting.synchronised(cache)
        node = setting.node()
        assert node is not None
        assert node.extra is not None
        assert node.extra["configuration"]["pubsub#title"] == "Blog"
