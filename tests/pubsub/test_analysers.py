"""The parts of a pubsub cache that need no store: analysers, the running of parsers, the reading of payloads."""

from __future__ import annotations

import asyncio
import threading
from datetime import datetime, timezone
from typing import Any

import pytest

from feedstore.errors import (
    FeedstoreError,
    InvalidTypeError,
    InvalidValueError,
    PubsubServiceError,
    PubsubUnavailableError,
)
from feedstore.pubsub import NodeAnalysis, PubsubService, ServiceItem
from feedstore.pubsub.analysers import Analyser, Analysers
from feedstore.pubsub.cached_items import ItemClock
from feedstore.pubsub.memory_service import MemoryPubsubServer
from feedstore.pubsub.node_watch import ProcessState
from feedstore.pubsub.parsing import ParserRunner
from feedstore.pubsub.payloads import MOST_TEXT, payload_text, root_namespace
from feedstore.storage.documents import NodeKey

MICROBLOG = "urn:xmpp:microblog:0"
BOMB = b"<!DOCTYPE b [<!ENTITY a 'boom'><!ENTITY b '&a;&a;'>]><b xmlns='urn:bomb'>&b;</b>"


def test_refused_analysers() -> None:
    """A name, a type, and a node or a namespace; a name is normalised and unique."""
    analysers = Analysers()
    for wrong, error in (
        (Analyser("", "blog", "n"), InvalidValueError),
        (Analyser("  ", "blog", "n"), InvalidValueError),
        (Analyser("a", "", "n"), InvalidValueError),
        (Analyser("a", "blog"), InvalidValueError),
        (Analyser("a", "blog", "", ""), InvalidValueError),
        (Analyser(7, "blog", "n"), InvalidTypeError),  # type: ignore[arg-type]
        (Analyser("a", "blog", "n", parser="p"), InvalidTypeError),  # type: ignore[arg-type]
        (Analyser("a", "blog", "n", match_cb=3), InvalidTypeError),  # type: ignore[arg-type]
        (Analyser("a", "blog", "n", priority="high"), InvalidTypeError),  # type: ignore[arg-type]
    ):
        with pytest.raises(error):
            analysers.register(wrong)
    assert analysers.register(Analyser(" Blog ", "blog", "n")).name == "blog"
    with pytest.raises(InvalidValueError, match="'blog'"):
        analysers.register(Analyser("BLOG", "other", "m"))
    assert analysers.named("blog") is not None
    assert analysers.named(None) is None


def test_the_first_match_decides() -> None:
    """A node is a prefix, a namespace is equal; each analyser is tried by node, then by namespace."""
    ann = MemoryPubsubServer().service("ann")
    ann.publish("urn:foo", b"<event xmlns='urn:events'/>")
    ann.publish(f"{MICROBLOG}:comments/1", b"<entry/>")
    ann.create_node("empty")
    analysers = Analysers()
    analysers.register(Analyser("events", "event", "urn:events", "urn:events"))
    analysers.register(Analyser("urn", "any", "urn:"))
    analysers.register(Analyser("blog", "blog", MICROBLOG, priority=1))

    def name_of(node: str) -> str | None:
        found = analysers.analyse(ann, ann.default_service, node)
        return None if found is None else found.name

    assert name_of("urn:foo") == "events"
    assert name_of(f"{MICROBLOG}:comments/1") == "blog"
    assert name_of("urn:other") == "urn"
    assert (name_of("empty"), name_of("absent"), name_of("of urn:")) == (None, None, None)
    ann.close()


def test_the_namespace_is_requested_only_if_needed() -> None:
    methods: list[str] = []
    server = MemoryPubsubServer(on_request=lambda account, method, node: methods.append(method))
    ann = server.service("ann")
    analysers = Analysers()
    analysers.register(Analyser("blog", "blog", "blog"))
    assert analysers.analyse(ann, ann.default_service, "blog") is not None
    assert methods == []
    ann.close()


def test_a_callback_changes_the_analysis() -> None:
    """It may be a coroutine function, also in a running event loop, and sees no configuration that is refused."""
    server = MemoryPubsubServer()
    ann, bob = server.service("ann"), server.service("bob")
    ann.create_node("blog:comments/1", configuration={"pubsub#title": "Comments"})
    seen: list[dict[str, Any] | None] = []

    async def match(service: PubsubService, analysis: NodeAnalysis) -> None:
        seen.append(analysis.configuration)
        analysis.subtype, analysis.to_sync = "comment", True

    analysers = Analysers()
    analysers.register(Analyser("blog", "blog", "blog", match_cb=match))
    for service in (ann, bob):
        found = analysers.analyse(service, server.address, "blog:comments/1")
        assert found is not None
        assert (found.type, found.subtype, found.to_sync) == ("blog", "comment", True)
    assert seen[0] is not None
    assert (seen[0]["pubsub#title"], seen[1]) == ("Comments", None)

    async def analyse() -> NodeAnalysis | None:
        return analysers.analyse(ann, server.address, "blog:comments/1")

    found = asyncio.run(analyse())
    assert found is not None
    assert found.subtype == "comment"
    server.fail(PubsubUnavailableError("gone"))
    with pytest.raises(PubsubUnavailableError):
        analysers.analyse(ann, server.address, "blog:comments/1")
    server.recover()
    server.fail(PubsubServiceError("no", "forbidden"))
    assert analysers.analyse(ann, server.address, "blog:comments/1") is not None
    ann.close()
    bob.close()


def test_namespaces_of_payloads() -> None:
    for payload, expected in (
        (b"<entry xmlns='urn:a'><x xmlns='urn:b'/></entry>", "urn:a"),
        (b"<p:entry xmlns:p='urn:p'/>", "urn:p"),
        (b"<?xml version='1.0'?><!-- c --><entry xmlns='urn:a'><broken", "urn:a"),
        (b"<entry/>", None),
        (b'{"type": "Note"}', None),
        (b"", None),
        (b"\xff\xfe", None),
        (b"<?xml version='1.0' encoding='no-such'?><a xmlns='urn:a'/>", None),
        (BOMB, None),
    ):
        assert root_namespace(payload) == expected, payload


def test_texts_of_payloads() -> None:
    for payload, expected in (
        (b"<e a='attribute'><t>one</t><t>two &amp; three</t><!-- no --></e>", "one two & three"),
        (b"<e><t>before</t><broken", "before"),
        (BOMB, ""),
        (b'{"a": ["one", {"b": "two"}], "c": 3}', "one two"),
        (b"plain", "plain"),
        (b"", ""),
    ):
        assert payload_text(ServiceItem("i", payload)) == expected, payload
    assert len(payload_text(ServiceItem("i", b"<e>" + b"word " * MOST_TEXT + b"</e>"))) <= MOST_TEXT
    assert payload_text(ServiceItem("i", b"[" * 100_000)) != ""


def test_stuck_parsers_do_not_pile_up() -> None:
    """After three parsers that never return, items stay unparsed, until one returns."""
    resume = threading.Event()

    def parse(item: ServiceItem, service: str, node: str) -> dict[str, Any]:
        if item.id == "stuck":
            resume.wait(20)
        return {"id": item.id}

    runner = ParserRunner(0.01)
    items = [ServiceItem("stuck"), ServiceItem("stuck"), ServiceItem("stuck"), ServiceItem("good")]
    reasons = [one.reason or "" for one in runner.parse(parse, items, "s", "n")]
    assert [("longer" in one, "earlier" in one) for one in reasons] == [(True, False)] * 3 + [(False, True)]
    resume.set()
    for _, thread in runner._abandoned:
        thread.join(20)
    assert [one.parsed for one in runner.parse(parse, items[3:], "s", "n")] == [{"id": "good"}]


def test_a_coroutine_function_that_is_cancelled_fails() -> None:
    """It ends no thread of the cache."""

    async def cancel(*_: object) -> dict[str, Any]:
        raise asyncio.CancelledError

    (result,) = ParserRunner(20).parse(cancel, [ServiceItem("i1")], "s", "n")
    assert "cancelled" in (result.reason or "")
    analysers = Analysers()
    analysers.register(Analyser("all", "blog", node="n", match_cb=cancel))
    with pytest.raises(FeedstoreError, match="cancelled"):
        analysers.analyse(MemoryPubsubServer().service("ann"), "s", "n")


def test_nodes_that_nothing_is_known_of_are_forgotten() -> None:
    state = ProcessState()
    kept = state.watch(NodeKey("ann", "s", "kept"))
    kept.uncounted = 1
    for number in range(21_000):
        state.watch(NodeKey("ann", "s", str(number)))
    assert len(state.known()) < 10_001
    assert state.watch(NodeKey("ann", "s", "kept")) is kept


def test_the_clock_of_items_ends_with_the_last_time() -> None:
    last = datetime.max.replace(tzinfo=timezone.utc)
    assert ItemClock(last, last).times(ServiceItem("i1")) == (last, last)


def test_the_text_of_a_parser() -> None:
    class Parser:
        def __call__(self, item: ServiceItem, service: str, node: str) -> dict[str, Any]:
            return {"node": node}

        def text(self, item: ServiceItem) -> str:
            if item.id == "bad":
                raise ValueError("no text")
            return f"own {item.id}\0\ud800"

    results = ParserRunner(10).parse(Parser(), [ServiceItem("a"), ServiceItem("bad")], "s", "n")
    assert [(one.parsed, one.text) for one in results] == [({"node": "n"}, "own a ?"), ({"node": "n"}, "")]
