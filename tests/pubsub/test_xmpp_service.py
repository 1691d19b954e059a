"""The pubsub service of XMPP, with a real Prosody."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from slixmpp import ClientXMPP

from feedstore.errors import (
    InvalidTypeError,
    InvalidValueError,
    PayloadError,
    PubsubItemNotFound,
    PubsubServiceError,
)
from feedstore.pubsub import (
    ItemsPage,
    ItemsPublished,
    ItemsRetracted,
    NodeConfigured,
    NodeDeleted,
    NodePurged,
    RsmRequest,
    RsmResponse,
    ServiceEvent,
    ServiceItem,
)
from feedstore.pubsub.markup import read_xml
from feedstore.pubsub.xmpp_service import XmppPubsubService
from feedstore.pubsub.xmpp_stanzas import archived_items, events_of, page_of_answer
from polling import poll_until
from pubsub.xmpp_component import IDS, PubsubComponent
from servers.prosody import COMPONENT, SERVICE, OwnProsodyServer


def note(text: str) -> bytes:
    return f'<note xmlns="urn:example">{text}</note>'.encode()


def ids(page: ItemsPage) -> list[str]:
    return [item.id for item in page.items]


def test_items_of_a_node(ann: XmppPubsubService, node: str) -> None:
    ann.create_node(node, configuration={"pubsub#title": "Notes", "pubsub#max_items": 10})
    assert ids(ann.get_items(node)) == []
    for number in range(1, 5):
        ann.publish(node, note(str(number)), item_id=f"i{number}")
    assert ann.publish(node, note("new"), item_id="i2") == "i2"
    assert ids(ann.get_items(node)) == ["i1", "i3", "i4", "i2"]
    assert ids(ann.get_items(node, max_items=2)) == ["i4", "i2"]
    assert ids(ann.get_items(node, max_items=0)) == []
    assert ids(ann.get_items(node, item_ids=["i2", "missing", "i1"])) == ["i2", "i1"]
    assert ids(ann.get_items(node, item_ids=[])) == []
    assert ann.get_items(node, item_ids=["i2"]).items[0].payload == note("new")
    chosen = ann.publish(node, note("5"))
    assert ids(ann.get_items(node, max_items=1)) == [chosen]
    ann.retract(node, ["i1", "i3", "i1"])
    assert ids(ann.get_items(node)) == ["i4", "i2", chosen]
    assert node in ann.nodes()
    assert ann.configuration(node)["pubsub#title"] == "Notes"
    ann.configure_node(node, {"pubsub#title": "Others"})
    configuration = ann.configuration(node)
    assert (configuration["pubsub#title"], configuration["pubsub#max_items"]) == ("Others", "10")
    ann.purge_node(node)
    assert ids(ann.get_items(node)) == []
    ann.delete_node(node)
    with pytest.raises(PubsubItemNotFound):
        ann.get_items(node)


def test_a_service_without_result_sets_returns_the_newest_items(ann: XmppPubsubService, node: str) -> None:
    assert not ann.supports_rsm()
    # The server hides that there is no such account.
    assert not ann.supports_rsm("carol@localhost")
    for number in range(1, 5):
        ann.publish(node, note(str(number)), item_id=f"i{number}")
    page = ann.get_items(node, rsm=RsmRequest(max=2, after="i1"))
    assert (ids(page), page.rsm, page.complete) == (["i3", "i4"], None, False)
    assert ids(ann.get_items(node, rsm=RsmRequest(max=0))) == []


def test_events_come_in_order(ann: XmppPubsubService, bob: XmppPubsubService, node: str) -> None:
    events: list[ServiceEvent] = []
    handle = bob.add_listener(events.append)
    ann.create_node(node)
    assert bob.subscribe(node) == "subscribed"
    ann.publish(node, note("1"), item_id="i1")
    ann.publish(node, note("2"), item_id="i2")
    ann.retract(node, ["i1"])
    ann.purge_node(node)
    ann.delete_node(node)
    poll_until(lambda: any(isinstance(one, NodeDeleted) for one in events), 30, "the deletion of the node")
    bob.remove_listener(handle)
    assert [type(one) for one in events] == [ItemsPublished, ItemsPublished, ItemsRetracted, NodePurged, NodeDeleted]
    first, _, third = events[:3]
    assert isinstance(first, ItemsPublished)
    assert isinstance(third, ItemsRetracted)
    assert (first.service, first.node, first.items[0].id, first.items[0].payload) == (SERVICE, node, "i1", note("1"))
    assert third.item_ids == ("i1",)


def test_accounts_are_apart(ann: XmppPubsubService, bob: XmppPubsubService, node: str) -> None:
    ann.create_node(node, configuration={"pubsub#access_model": "whitelist"})
    ann.publish(node, note("secret"), item_id="i1")
    for call in (
        bob.get_items,
        bob.subscribe,
        bob.configuration,
        bob.purge_node,
        lambda one: bob.publish(one, note("")),
    ):
        with pytest.raises(PubsubServiceError) as caught:
            call(node)
        assert caught.value.condition in ("forbidden", "not-allowed")
    with pytest.raises(PubsubServiceError, match="conflict"):
        ann.create_node(node)
    with pytest.raises(PubsubServiceError) as caught:
        ann.unsubscribe(node)
    assert caught.value.condition in ("unexpected-request", "not-subscribed", "forbidden")


def test_nodes_of_an_account(ann: XmppPubsubService, bob: XmppPubsubService, node: str) -> None:
    account = ann.account
    ann.publish(node, note("mine"), service=account, item_id="i1")
    ann.configure_node(node, {"pubsub#access_model": "open"}, service=account)
    assert ids(bob.get_items(node, service=account)) == ["i1"]
    assert bob.subscribe(node, service=account) == "subscribed"
    bob.unsubscribe(node, service=account)


@pytest.mark.parametrize(
    ("sent", "received"),
    [
        (b'<a xmlns="urn:x"><b/></a>', b'<a xmlns="urn:x"><b/></a>'),
        (b"<a>1<b>2</b>3</a>", b"<a>1<b>2</b>3</a>"),
        (b'<x:a xmlns:x="urn:x" x:y="1" z="&lt;2"/>', b'<a xmlns="urn:x" z="&lt;2" xmlns:a1="urn:x" a1:y="1"/>'),
        ("<a xml:lang='fr'>é&amp;&#x1F600;\n ]]&gt;</a>".encode(), '<a xml:lang="fr">é&amp;😀\n ]]&gt;</a>'.encode()),
        (b'<a xmlns="urn:x"><b xmlns="urn:y"><c xmlns="urn:x"/></b></a>',) * 2,
        (b"<?xml version='1.0' encoding='iso-8859-1'?><a>\xe9</a>", "<a>é</a>".encode()),
    ],
)
def test_payloads_are_exact(ann: XmppPubsubService, node: str, sent: bytes, received: bytes) -> None:
    ann.publish(node, sent, item_id="i1")
    payload = ann.get_items(node).items[0].payload
    # XMPP has no elements without a namespace: those of a payload get the one of their item.
    without = payload.replace(b' xmlns="http://jabber.org/protocol/pubsub"', b"")
    assert without == received
    ann.publish(node, payload, item_id="i2")
    assert ann.get_items(node, item_ids=["i2"]).items[0].payload == payload


@pytest.mark.parametrize("payload", [b"", b"text", b"<a>", b"<a>\xff</a>", b"<!DOCTYPE a []><a/>"])
def test_malformed_payloads_are_not_sent(ann: XmppPubsubService, node: str, payload: bytes) -> None:
    with pytest.raises(PayloadError):
        ann.publish(node, payload)
    with pytest.raises(PubsubItemNotFound):
        ann.get_items(node)


@pytest.mark.parametrize("name", ["a\x01", "\ud800", "\uffff"])
def test_characters_that_xml_lacks_are_not_sent(ann: XmppPubsubService, name: str) -> None:
    for call in (
        lambda: ann.get_items(name),
        lambda: ann.publish("notes", note(""), item_id=name),
        lambda: ann.create_node("notes", configuration={"pubsub#title": name}),
    ):
        with pytest.raises(InvalidValueError, match="XML"):
            call()


def test_result_sets_and_the_archive(prosody: OwnProsodyServer, ann: XmppPubsubService) -> None:
    component = PubsubComponent(prosody)
    try:
        component.is_overloaded = True
        with pytest.raises(PubsubServiceError, match="resource-constraint"):
            ann.get_items("notes", service=COMPONENT, rsm=RsmRequest(max=3))
        component.is_overloaded = False
        assert ann.supports_rsm(COMPONENT)
        page = ann.get_items("notes", service=COMPONENT, rsm=RsmRequest(max=3, after="i2"))
        assert (ids(page), page.complete) == (["i3", "i4", "i5"], False)
        assert page.rsm is not None
        assert (page.rsm.first, page.rsm.last, page.rsm.index, page.rsm.count) == ("i3", "i5", 2, 7)
        assert (page.items[0].publisher, page.items[0].payload) == ("ann@localhost", note("i3"))
        for request, expected, complete in (
            (RsmRequest(max=3, after="i4"), "i5 i6 i7", True),
            (RsmRequest(max=3, after="i7"), "", True),
            (RsmRequest(max=2, before=""), "i6 i7", False),
            (RsmRequest(max=2, before="i3"), "i1 i2", True),
            (RsmRequest(max=0), "", False),
        ):
            page = ann.get_items("notes", service=COMPONENT, rsm=request)
            assert (ids(page), page.complete) == (expected.split(), complete)
        since = {"mam": {"start": datetime(2026, 1, 1, tzinfo=timezone.utc)}}
        page = ann.get_items("notes", service=COMPONENT, rsm=RsmRequest(max=2), extra=since)
        assert (ids(page), page.complete) == (["i1", "i2"], False)
        assert page.items[0].updated == datetime(2026, 5, 1, 12, tzinfo=timezone.utc)
        page = ann.get_items("notes", service=COMPONENT, extra={"mam": {}})
        assert (tuple(ids(page)), page.complete) == (IDS, True)
    finally:
        component.stop()


def test_a_service_without_an_archive_refuses(ann: XmppPubsubService, node: str) -> None:
    with pytest.raises(PubsubServiceError):
        ann.get_items(node, extra={"mam": {}})
    with pytest.raises(InvalidTypeError, match="mapping"):
        ann.get_items(node, extra={"mam": True})
    with pytest.raises(InvalidValueError, match="either item_ids"):
        ann.get_items(node, item_ids=["i1"], extra={"mam": {}})


def test_a_stranger_who_asks_for_the_presence_is_not_authorized(
    ann: XmppPubsubService, bob: XmppPubsubService, node: str
) -> None:
    events: list[ServiceEvent] = []
    handle = ann.add_listener(events.append)
    ann.publish(node, note("for friends"), service=ann.account)
    ann.publish(node, note("for all"))
    ann.subscribe(node)

    async def ask(client: ClientXMPP) -> None:
        client.send_presence(pto=ann.account, ptype="subscribe")

    bob._connection._run(ask)
    bob.get_items(node)
    # This event comes to the account after the presence.
    ann.publish(node, note("later"))
    poll_until(lambda: bool(events), 30, "the event")
    ann.remove_listener(handle)
    with pytest.raises(PubsubServiceError):
        bob.get_items(node, service=ann.account)


def test_addresses_that_are_no_service() -> None:
    with XmppPubsubService("ann@localhost", "ann") as service:
        for address in ("", "a@@b"):
            for call in (service.nodes, service.supports_rsm, lambda one: service.get_items("notes", service=one)):
                with pytest.raises(InvalidValueError, match="address"):
                    call(address)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"jid": "localhost"}, InvalidValueError),
        ({"jid": "@"}, InvalidValueError),
        ({"jid": 7}, InvalidTypeError),
        ({"password": None}, InvalidTypeError),
        ({"timeout": 0}, InvalidValueError),
        ({"longest_delay": -1}, InvalidValueError),
        ({"default_service": "a@@b"}, InvalidValueError),
    ],
)
def test_refusals_of_arguments(arguments: dict[str, object], error: type[Exception]) -> None:
    with pytest.raises(error):
        XmppPubsubService(**{"jid": "ann@localhost", "password": "ann", **arguments})  # type: ignore[arg-type]


INNER = """<x xmlns="urn:x"><set xmlns="http://jabber.org/protocol/rsm"><first index="0">z</first><count>1</count></set>
<delay xmlns="urn:xmpp:delay" stamp="2001-01-01T00:00:00Z"/>
<items xmlns="http://jabber.org/protocol/pubsub#event"><item id="forged"/></items></x>"""


def test_a_payload_is_no_part_of_the_answer() -> None:
    answer = f"""<iq xmlns="jabber:client"><pubsub xmlns="http://jabber.org/protocol/pubsub">
        <items><item id="i1">{INNER}</item></items>
        <set xmlns="http://jabber.org/protocol/rsm"><first index="4">i1</first><count>9</count></set></pubsub></iq>"""
    page = page_of_answer(read_xml(answer.encode()), RsmRequest(max=1))
    assert (ids(page), page.rsm, page.complete) == (["i1"], RsmResponse("i1", None, 4, 9), False)
    for stamp, time in (("2026-05-01T12:00:00Z", datetime(2026, 5, 1, 12, tzinfo=timezone.utc)), ("2026-05-01", None)):
        message = f"""<message xmlns="jabber:client"><result xmlns="urn:xmpp:mam:2" queryid="q">
            <forwarded xmlns="urn:xmpp:forward:0"><message xmlns="jabber:client">
            <event xmlns="http://jabber.org/protocol/pubsub#event"><items><item id="i1">{INNER}</item></items></event>
            </message><delay xmlns="urn:xmpp:delay" stamp="{stamp}"/></forwarded></result></message>"""
        assert [(one.id, one.updated) for one in archived_items(read_xml(message.encode()), "q")] == [("i1", time)]


def test_the_events_of_a_message() -> None:
    message = read_xml(
        b"""<message xmlns="jabber:client"><event xmlns="http://jabber.org/protocol/pubsub#event">
        <configuration node="notes"><x xmlns="jabber:x:data"><field var="FORM_TYPE"><value>form</value></field>
        <field var="pubsub#title"><value>Notes</value></field>
        <field var="pubsub#roster_groups_allowed" type="list-multi"><value>Friends</value></field></x></configuration>
        <configuration node="other"/>
        <items node="notes"><item id="i1"/><retract id="i2"/><retract/><item/></items>
        <items><item id="i3"/></items></event></message>"""
    )
    assert list(events_of("a.example", message)) == [
        NodeConfigured("a.example", "notes", {"pubsub#title": "Notes", "pubsub#roster_groups_allowed": ["Friends"]}),
        NodeConfigured("a.example", "other"),
        ItemsPublished("a.example", "notes", (ServiceItem("i1"),)),
        ItemsRetracted("a.example", "notes", ("i2",)),
    ]
