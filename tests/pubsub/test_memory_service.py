"""The pubsub server in memory."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta, timezone

import pytest

from feedstore.errors import (
    FeedstoreError,
    InvalidTypeError,
    InvalidValueError,
    PubsubClosedError,
    PubsubItemNotFound,
    PubsubServiceError,
    PubsubUnavailableError,
)
from feedstore.pubsub import (
    EventsMissed,
    ItemsPage,
    ItemsPublished,
    ItemsRetracted,
    NodeConfigured,
    NodeDeleted,
    NodePurged,
    RsmRequest,
    RsmResponse,
    ServiceEvent,
)
from feedstore.pubsub.memory_service import MemoryPubsubServer, MemoryPubsubService

NOON = datetime(2026, 5, 1, 12, tzinfo=timezone.utc)


def filled(server: MemoryPubsubServer, count: int = 7) -> MemoryPubsubService:
    ann = server.service("ann")
    for number in range(1, count + 1):
        ann.publish("notes", b"<note>%d</note>" % number, item_id=f"i{number}")
    return ann


def ids(page: ItemsPage) -> list[str]:
    return [item.id for item in page.items]


@pytest.mark.parametrize(
    ("request_", "expected", "index", "complete"),
    [
        (RsmRequest(max=3), "i1 i2 i3", 0, False),
        (RsmRequest(max=3, after="i3"), "i4 i5 i6", 3, False),
        (RsmRequest(max=3, after="i4"), "i5 i6 i7", 4, True),
        (RsmRequest(max=3, after="i7"), "", None, True),
        (RsmRequest(max=3, before="i3"), "i1 i2", 0, True),
        (RsmRequest(max=3, before="i6"), "i3 i4 i5", 2, False),
        (RsmRequest(max=3, before=""), "i5 i6 i7", 4, False),
        (RsmRequest(max=9, before=""), "i1 i2 i3 i4 i5 i6 i7", 0, True),
        (RsmRequest(max=2, index=5), "i6 i7", 5, True),
        (RsmRequest(max=2, index=4), "i5 i6", 4, False),
        (RsmRequest(index=9), "", None, True),
        (RsmRequest(max=0), "", None, False),
        (RsmRequest(), "i1 i2 i3 i4 i5 i6 i7", 0, True),
    ],
)
def test_pages(request_: RsmRequest, expected: str, index: int | None, complete: bool) -> None:
    page = filled(MemoryPubsubServer()).get_items("notes", rsm=request_)
    chosen = expected.split()
    first, last = (chosen[0], chosen[-1]) if chosen else (None, None)
    assert (ids(page), page.rsm, page.complete) == (chosen, RsmResponse(first, last, index, 7), complete)


@pytest.mark.parametrize("request_", [RsmRequest(after="i8"), RsmRequest(before="i8")])
def test_a_page_beside_an_unknown_item_is_an_error(request_: RsmRequest) -> None:
    with pytest.raises(PubsubItemNotFound, match="'i8'"):
        filled(MemoryPubsubServer()).get_items("notes", rsm=request_)


def test_items_without_a_page() -> None:
    ann = filled(MemoryPubsubServer(default_items=2, largest_page=5))
    assert ids(ann.get_items("notes")) == ["i6", "i7"]
    assert ids(ann.get_items("notes", max_items=3)) == ["i5", "i6", "i7"]
    assert ids(ann.get_items("notes", max_items=9)) == ["i3", "i4", "i5", "i6", "i7"]
    assert ids(ann.get_items("notes", max_items=0)) == []
    assert ids(ann.get_items("notes", item_ids=["i7", "missing", "i1"])) == ["i7", "i1"]


def test_without_result_sets_a_page_is_ignored_and_never_complete() -> None:
    ann = filled(MemoryPubsubServer(rsm=False, default_items=3))
    assert not ann.supports_rsm()
    for page in (ann.get_items("notes", rsm=RsmRequest(max=9, after="i2")), ann.get_items("notes", max_items=9)):
        assert (len(page.items), page.rsm, page.complete) == (7, None, False)
    assert ids(ann.get_items("notes", rsm=RsmRequest(after="i2"))) == ["i5", "i6", "i7"]


def test_an_item_published_again_is_the_newest_by_modification_alone() -> None:
    times = iter([NOON, NOON + timedelta(hours=1), NOON - timedelta(hours=1)])
    ann = filled(MemoryPubsubServer(clock=lambda: next(times)), 2)
    ann.publish("notes", b"<note>new</note>", item_id="i1")
    assert ids(ann.get_items("notes")) == ["i2", "i1"]
    page = ann.get_items("notes", order_by="creation")
    assert ids(page) == ["i1", "i2"]
    item = page.items[0]
    assert (item.payload, item.publisher) == (b"<note>new</note>", "ann")
    assert (item.published, item.updated) == (NOON, NOON - timedelta(hours=1))


def test_a_maximum_of_items_drops_the_oldest() -> None:
    ann = filled(MemoryPubsubServer(), 3)
    ann.configure_node("notes", {"pubsub#max_items": "2"})
    assert ids(ann.get_items("notes")) == ["i2", "i3"]
    assert ann.publish("notes", b"", item_id="i4") == "i4"
    assert ids(ann.get_items("notes")) == ["i3", "i4"]


@pytest.mark.parametrize(
    ("model", "affiliation", "condition", "subscription"),
    [
        ("open", None, None, "subscribed"),
        ("open", "outcast", "forbidden", "forbidden"),
        ("whitelist", None, "not-allowed", "not-allowed"),
        ("whitelist", "member", None, "subscribed"),
        ("authorize", None, "not-authorized", "pending"),
        ("authorize", "member", None, "subscribed"),
        ("authorize", "outcast", "forbidden", "forbidden"),
    ],
)
def test_access(model: str, affiliation: str | None, condition: str | None, subscription: str) -> None:
    server = MemoryPubsubServer()
    ann, bob = filled(server, 1), server.service("bob")
    ann.configure_node("notes", {"pubsub#access_model": model})
    if affiliation is not None:
        server.set_affiliation("notes", "bob", affiliation)

    def outcome(call: object) -> str | None:
        try:
            result = call("notes")  # type: ignore[operator]
        except PubsubServiceError as error:
            return error.condition
        return result if isinstance(result, str) else None

    assert outcome(bob.get_items) == condition
    assert bob.nodes() == ([] if condition else ["notes"])
    assert outcome(bob.subscribe) == subscription
    assert outcome(bob.configuration) == "forbidden"
    assert outcome(lambda node: bob.publish(node, b"")) == "forbidden"
    assert ids(ann.get_items("notes")) == ["i1"]


def test_an_approved_subscription_may_read() -> None:
    server = MemoryPubsubServer()
    ann, bob = filled(server, 1), server.service("bob")
    ann.configure_node("notes", {"pubsub#access_model": "authorize", "pubsub#publish_model": "subscribers"})
    with pytest.raises(PubsubServiceError, match="no subscription"):
        server.approve("notes", "bob")
    assert bob.subscribe("notes") == "pending"
    server.approve("notes", "bob")
    assert bob.subscribe("notes") == "subscribed"
    assert ids(bob.get_items("notes")) == ["i1"]
    bob.publish("notes", b"", item_id="b1")
    bob.unsubscribe("notes")
    with pytest.raises(PubsubServiceError, match="bob may not read"):
        bob.get_items("notes")
    with pytest.raises(PubsubServiceError, match="no subscription"):
        bob.unsubscribe("notes")


def test_subscribers_receive_the_events_in_order() -> None:
    server = MemoryPubsubServer()
    ann, bob, eve = (server.service(name) for name in ("ann", "bob", "eve"))
    events: list[ServiceEvent] = []
    others: list[ServiceEvent] = []

    def failing(event: ServiceEvent) -> None:
        raise RuntimeError("a listener of an application")

    bob.add_listener(failing)
    handle = bob.add_listener(events.append)
    eve.add_listener(others.append)
    ann.create_node("notes", configuration={"pubsub#deliver_payloads": "1"})
    bob.subscribe("notes")
    ann.publish("notes", b"<a/>", item_id="i1")
    ann.configure_node("notes", {"pubsub#deliver_payloads": "0"})
    ann.publish("notes", b"<b/>", item_id="i2")
    ann.retract("notes", ["i1"])
    ann.purge_node("notes")
    with server.losing_events():
        ann.publish("notes", b"<c/>", item_id="i3")
    ann.delete_node("notes")
    bob.wait_for_events()
    bob.remove_listener(handle)
    assert [type(event) for event in events] == [
        ItemsPublished,
        NodeConfigured,
        ItemsPublished,
        ItemsRetracted,
        NodePurged,
        EventsMissed,
        NodeDeleted,
    ]
    published = [(event.node, event.items) for event in events if isinstance(event, ItemsPublished)]
    assert [(node, item.id, item.payload) for node, (item,) in published] == [
        ("notes", "i1", b"<a/>"),
        ("notes", "i2", b""),
    ]
    eve.wait_for_events()
    assert [type(event) for event in others] == [EventsMissed]
    bob.close()
    eve.close()


def test_a_subscriber_who_may_no_longer_read_receives_nothing() -> None:
    server = MemoryPubsubServer()
    ann, bob = filled(server, 1), server.service("bob")
    events: list[ServiceEvent] = []
    with bob:
        bob.add_listener(events.append)
        bob.subscribe("notes")
        server.set_affiliation("notes", "bob", "outcast")
        ann.publish("notes", b"secret")
        bob.wait_for_events()
    assert events == []


def test_a_listener_may_close_its_service() -> None:
    server = MemoryPubsubServer()
    ann = server.service("ann")
    closed = threading.Event()

    def close(_: ServiceEvent) -> None:
        ann.close()
        closed.set()

    ann.create_node("notes")
    ann.subscribe("notes")
    ann.add_listener(close)
    ann.publish("notes", b"")
    assert closed.wait(10)
    with pytest.raises(PubsubClosedError):
        ann.nodes()


def test_faults() -> None:
    requests: list[tuple[str, str, str]] = []
    server = MemoryPubsubServer(largest_page=2, on_request=lambda *each: requests.append(each))
    ann = filled(server, 4)
    server.fail(PubsubUnavailableError("the server died"), operation="get_items", after=1, times=1)
    assert ids(ann.get_items("notes", rsm=RsmRequest(max=4))) == ["i1", "i2"]
    with pytest.raises(PubsubUnavailableError):
        ann.get_items("notes", rsm=RsmRequest(max=4, after="i2"))
    assert ids(ann.get_items("notes", rsm=RsmRequest(max=4, after="i2"))) == ["i3", "i4"]
    server.fail(PubsubUnavailableError("the server died"))
    for _ in range(2):
        with pytest.raises(PubsubUnavailableError):
            ann.nodes()
    server.recover()
    assert ann.nodes() == ["notes"]
    assert requests[0] == ("ann", "publish", "notes")


def test_refusals() -> None:
    with pytest.raises(PubsubItemNotFound, match="no node 'missing'"):
        MemoryPubsubServer().service("ann").retract("missing", ["i1"])
    server = MemoryPubsubServer(auto_create=False)
    with server.service("ann") as ann:
        for call in (ann.get_items, ann.subscribe, ann.delete_node, lambda node: ann.publish(node, b"")):
            with pytest.raises(PubsubItemNotFound, match="no node 'missing'"):
                call("missing")
        ann.create_node("notes")
        with pytest.raises(PubsubServiceError, match="already") as caught:
            ann.create_node("notes")
        assert caught.value.condition == "conflict"
        with pytest.raises(PubsubItemNotFound, match="missing"):
            ann.retract("notes", ["missing"])
        with pytest.raises(PubsubServiceError, match="access_model must be one of open"):
            ann.configure_node("notes", {"pubsub#access_model": "closed"})
        for largest in ("-1", "9" * 5000):
            with pytest.raises(PubsubServiceError, match="max_items must be max"):
                ann.configure_node("notes", {"pubsub#max_items": largest})
        with pytest.raises(PubsubItemNotFound, match="no server"):
            ann.nodes("elsewhere")
        with pytest.raises(InvalidValueError, match="owner, publisher"):
            server.set_affiliation("notes", "bob", "friend")
    with pytest.raises(PubsubClosedError, match="closed"):
        ann.get_items("notes")
    ann.close()


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"max_items": -1}, InvalidValueError, "from 0"),
        ({"max_items": True}, InvalidValueError, "from 0"),
        ({"max_items": 1, "item_ids": ["i1"]}, InvalidValueError, "max_items and item_ids"),
        ({"max_items": 1, "rsm": RsmRequest()}, InvalidValueError, "max_items and rsm"),
        ({"item_ids": "i1"}, InvalidTypeError, "sequence of ids"),
        ({"item_ids": [""]}, InvalidTypeError, "one character or more"),
        ({"rsm": {"max": 1}}, InvalidTypeError, "RsmRequest"),
        ({"order_by": "rank"}, InvalidValueError, "creation or modification"),
        ({"node": ""}, InvalidValueError, "must not be empty"),
        ({"node": 7}, InvalidTypeError, "must be a str"),
    ],
)
def test_arguments_of_a_request(arguments: dict[str, object], error: type[FeedstoreError], words: str) -> None:
    ann = filled(MemoryPubsubServer(), 1)
    with pytest.raises(error, match=words):
        ann.get_items(**{"node": "notes", **arguments})  # type: ignore[arg-type]


def test_a_request_for_a_page_has_one_place() -> None:
    with pytest.raises(InvalidValueError, match="after and index"):
        RsmRequest(after="i1", index=3)
    with pytest.raises(InvalidValueError, match="index must be"):
        RsmRequest(index=-1)
