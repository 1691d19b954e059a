"""Web feeds over a real server of HTTP."""

from __future__ import annotations

import gzip
import socket
import threading
from datetime import datetime, timezone
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import pytest

from feedstore.errors import (
    FeedstoreError,
    InvalidValueError,
    PubsubClosedError,
    PubsubItemNotFound,
    PubsubServiceError,
    PubsubTimeoutError,
    PubsubUnavailableError,
    PubsubUnsupportedError,
)
from feedstore.pubsub import ItemsPublished, RsmRequest, ServiceEvent
from feedstore.pubsub.parsers import AtomParser
from feedstore.pubsub.web_feeds import HttpFeedService
from feedstore.pubsub.web_requests import WebOptions, _Decoder, is_allowed, networks_of
from feedstore.pubsub.websub import WebSub
from pubsub.web_server import LOCAL, Page, WebServer, atom, ids


def test_the_entries_of_an_atom_feed(server: WebServer, service: HttpFeedService) -> None:
    node = f"{server.url}/feed"
    server.pages["/feed"] = Page(atom(3, 2, 1), headers={"Content-Type": "application/atom+xml"})
    page = service.get_items(node)
    assert (ids(page.items), page.complete) == (["urn:1", "urn:2", "urn:3"], True)
    last = page.items[-1]
    assert (last.publisher, last.published, last.updated) == ("Ann", None, datetime(2026, 5, 3, tzinfo=timezone.utc))
    assert AtomParser()(last) == {
        "id": "urn:3",
        "title": "Entry 3",
        "content": "Text 3",
        "content_html": "<p>Text 3</p>",
        "updated": "2026-05-03T00:00:00Z",
        "authors": [{"name": "Ann"}],
        "links": [{"rel": "alternate", "href": f"{server.url}/3", "type": "text/html"}],
        "url": f"{server.url}/3",
    }
    assert ids(service.get_items(node, max_items=2).items) == ["urn:2", "urn:3"]
    assert ids(service.get_items(node, item_ids=["urn:3", "urn:9"]).items) == ["urn:3"]
    page = service.get_items(node, rsm=RsmRequest(max=1, after="urn:1"))
    assert (ids(page.items), page.rsm and page.rsm.count, page.complete) == (["urn:2"], 3, False)
    assert service.configuration(node) == {"pubsub#type": "http://www.w3.org/2005/Atom", "pubsub#title": "Ann"}
    assert (service.nodes(), service.supports_rsm()) == ([node], True)


def test_a_known_document_is_requested_conditionally(server: WebServer) -> None:
    now = [0.0]
    node = f"{server.url}/feed"
    server.pages["/feed"] = Page(atom(1), headers={"ETag": '"1"', "Last-Modified": "Fri, 01 May 2026 00:00:00 GMT"})
    with HttpFeedService(options=LOCAL, max_age=60, most_documents=1, clock=lambda: now[0]) as service:
        service.get_items(node)
        service.get_items(node)
        assert len(server.requests) == 1
        now[0] = 61.0
        assert ids(service.get_items(node).items) == ["urn:1"]
        headers = server.requests[1].headers
        assert headers["If-None-Match"] == '"1"'
        assert headers["If-Modified-Since"] == "Fri, 01 May 2026 00:00:00 GMT"
        service.get_items(node)
        assert len(server.requests) == 2
        server.pages["/other"] = Page(atom(1))
        service.get_items(f"{server.url}/other")
        assert service.nodes() == [f"{server.url}/other"]


def test_a_validator_that_is_no_ascii_is_not_sent(server: WebServer, service: HttpFeedService) -> None:
    server.pages["/feed"] = Page(atom(1), headers={"ETag": '"\xe9"'})
    for _ in range(2):
        assert ids(service.get_items(f"{server.url}/feed").items) == ["urn:1"]
    assert server.requests[1].headers["If-None-Match"] is None


def test_the_entries_of_a_hub_are_kept_within_the_largest_document(server: WebServer) -> None:
    node = f"{server.url}/feed"
    server.pages["/feed"] = Page(atom(1, 2))
    with HttpFeedService(options=WebOptions(allow=("127.0.0.1",), largest=1000)) as service:
        service.get_items(node)
        for number in range(3, 9):
            assert ids(service.receive(node, atom(number), "application/atom+xml")) == [f"urn:{number}"]
        kept = service.get_items(node).items
        assert ids(kept)[-2:] == ["urn:7", "urn:8"]
        assert sum(len(one.payload) for one in kept) <= 1000


def test_polling_reports_new_and_changed_entries(server: WebServer, service: HttpFeedService) -> None:
    events: list[ServiceEvent] = []
    service.add_listener(events.append)
    node = f"{server.url}/feed"
    server.pages["/feed"] = Page(atom(2, 1))
    assert ids(service.poll(node)) == ["urn:1", "urn:2"]
    assert service.poll(node) == ()
    server.pages["/feed"] = Page(atom(3, 2).replace(b"Text 2", b"Changed"))
    assert ids(service.poll(node)) == ["urn:2", "urn:3"]
    assert [ids(event.items) for event in events if isinstance(event, ItemsPublished)] == [
        ["urn:1", "urn:2"],
        ["urn:2", "urn:3"],
    ]


def test_reading_a_feed_takes_no_entry_from_the_listeners(server: WebServer, service: HttpFeedService) -> None:
    node = f"{server.url}/feed"
    server.pages["/feed"] = Page(atom(1))
    service.get_items(node)
    assert service.poll(node) == ()
    server.pages["/feed"] = Page(atom(2, 1))
    assert ids(service.get_items(node).items) == ["urn:1", "urn:2"]
    assert ids(service.poll(node)) == ["urn:2"]
    server.pages["/feed"] = Page(atom(4, 3, 2, 1))
    service.get_items(node)
    assert ids(service.receive(node, atom(3), "application/atom+xml")) == ["urn:3"]
    assert service.receive(node, atom(3), "application/atom+xml") == ()
    assert ids(service.poll(node)) == ["urn:4"]
    assert service.poll(node) == ()


@pytest.mark.parametrize(
    ("page", "error", "condition"),
    [
        (Page(status=404), PubsubItemNotFound, "item-not-found"),
        (Page(status=410), PubsubItemNotFound, "item-not-found"),
        (Page(status=401), PubsubServiceError, "not-authorized"),
        (Page(status=403), PubsubServiceError, "forbidden"),
        (Page(status=429), PubsubServiceError, "resource-constraint"),
        (Page(status=500), PubsubServiceError, "internal-server-error"),
        (Page(b"x" * 3000), PubsubServiceError, "policy-violation"),
        (
            Page(gzip.compress(b"x" * 1_000_000), headers={"Content-Encoding": "gzip"}),
            PubsubServiceError,
            "policy-viol",
        ),
        (Page(b"no gzip", headers={"Content-Encoding": "gzip"}), PubsubServiceError, "undefined"),
        (Page(gzip.compress(atom(1))[:-9], headers={"Content-Encoding": "gzip"}), PubsubServiceError, "undefined"),
        (Page(b"", headers={"Content-Length": "9"}), PubsubServiceError, "undefined"),
        (Page(b"x", headers={"Content-Encoding": "br"}), PubsubServiceError, "undefined"),
        (Page(status=302, headers={"Location": "/feed"}), PubsubServiceError, "policy-violation"),
        (Page(status=302, headers={"Location": "file:///etc/hostname"}), PubsubServiceError, "jid-malformed"),
        (Page(status=302, headers={"Location": "http://[::1]/feed"}), PubsubServiceError, "policy-violation"),
        (Page(status=302, headers={"Location": "http://["}), PubsubServiceError, "jid-malformed"),
        (Page(write=lambda send: send(b"nonsense\r\n\r\n")), PubsubServiceError, "undefined"),
        (Page(write=lambda send: None), PubsubServiceError, "undefined"),
    ],
)
def test_answers_that_are_refused(server: WebServer, page: Page, error: type[FeedstoreError], condition: str) -> None:
    server.pages["/feed"] = page
    options = WebOptions(allow=("127.0.0.1",), largest=2048, redirects=3)
    with HttpFeedService(options=options) as service:
        with pytest.raises(error) as caught:
            service.get_items(f"{server.url}/feed")
        assert isinstance(caught.value, PubsubServiceError)
        assert caught.value.condition.startswith(condition)
        assert len(server.requests) <= 4
        assert service.nodes() == []


def test_redirects_and_compression(server: WebServer, service: HttpFeedService) -> None:
    server.pages["/old"] = Page(status=301, headers={"Location": "new/feed"})
    server.pages["/new/feed"] = Page(gzip.compress(atom(1)), headers={"Content-Encoding": "gzip"})
    (item,) = service.get_items(f"{server.url}/old").items
    assert AtomParser()(item)["url"] == f"{server.url}/1"


@pytest.mark.parametrize("rest", [b"", b"\0\n"])
@pytest.mark.parametrize("size", [1, 65536])
def test_a_compressed_body_of_several_members(rest: bytes, size: int) -> None:
    feed = atom(1, 2)
    body = gzip.compress(feed[:400]) + gzip.compress(b"") + gzip.compress(feed[400:]) + rest
    decoder = _Decoder("gzip", "https://a.example/")
    parts = [part for at in range(0, len(body), size) for part in decoder.decode(body[at : at + size], 10**6)]
    decoder.end()
    assert b"".join(parts) == feed


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n"])
def test_a_server_that_sends_slowly_ends_with_the_timeout(server: WebServer, head: bytes) -> None:
    ended = threading.Event()

    def drip(send: Any) -> None:
        if head:
            send(head)
        # Each byte comes well within the timeout, and the whole answer does not.
        while send(b"x") and not ended.wait(0.05):
            continue

    server.pages["/feed"] = Page(write=drip)
    try:
        service = HttpFeedService(options=WebOptions(allow=("127.0.0.1",), timeout=0.3))
        with service, pytest.raises(PubsubTimeoutError, match=r"0\.3 seconds"):
            service.get_items(f"{server.url}/feed")
    finally:
        ended.set()


@pytest.mark.parametrize(
    ("address", "allow", "expected"),
    [
        ("93.184.216.34", (), True),
        ("2606:2800:220:1::1", (), True),
        ("127.0.0.1", (), False),
        ("10.0.0.1", (), False),
        ("10.0.0.1", ("10.0.0.0/8",), True),
        ("169.254.169.254", (), False),
        ("100.64.0.1", (), False),
        ("0.0.0.0", (), False),
        ("224.0.0.1", (), False),
        ("255.255.255.255", (), False),
        ("::1", (), False),
        ("::", (), False),
        ("fe80::1", (), False),
        ("fd00::1", (), False),
        ("fd00::1", ("fd00::/8",), True),
        ("ff0e::1", (), False),
        ("::ffff:127.0.0.1", (), False),
        ("::ffff:127.0.0.1", ("127.0.0.1",), True),
        ("64:ff9b::7f00:1", (), False),
        ("2002:7f00:1::", (), False),
        ("2001:0:0:0:0:0:80ff:fffe", (), False),
        ("192.0.0.192", (), False),
        ("fec0::1", (), False),
        ("fec0::1", ("fec0::/10",), True),
    ],
)
def test_addresses(address: str, allow: tuple[str, ...], expected: bool) -> None:
    assert is_allowed(ip_address(address), networks_of(allow)) is expected


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]"])
def test_private_hosts_are_refused_in_every_spelling(server: WebServer, host: str) -> None:
    port = urlsplit(server.url).port
    with HttpFeedService() as service, pytest.raises((PubsubServiceError, PubsubUnavailableError)):
        service.get_items(f"http://{host}:{port}/feed")
    assert server.requests == []


def test_a_name_is_resolved_once_and_the_checked_address_is_used(
    server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.pages["/feed"] = Page(atom(1))
    port = urlsplit(server.url).port
    answers = iter(["127.0.0.1", "10.0.0.1"])
    real = socket.getaddrinfo

    def rebinding(host: str, *arguments: Any, **options: Any) -> Any:
        return real(next(answers) if host == "rebinding.example" else host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    with HttpFeedService(options=LOCAL, max_age=0) as service:
        assert ids(service.get_items(f"http://rebinding.example:{port}/feed").items) == ["urn:1"]
        assert server.requests[0].headers["Host"] == f"rebinding.example:{port}"
        with pytest.raises(PubsubServiceError, match=r"10\.0\.0\.1"):
            service.get_items(f"http://rebinding.example:{port}/feed")


@pytest.mark.parametrize(
    "node",
    [
        *("feed", "ftp://a.example/", "http://", "http://a.example:x/", "http://a b/"),
        *(f"{scheme}://ann:pw@{rest}" for scheme in ("http", "ftp") for rest in ("a.example/", "a.example:x/", "[")),
    ],
)
def test_addresses_that_are_no_web_feed(service: HttpFeedService, node: str) -> None:
    with pytest.raises(PubsubServiceError) as caught:
        service.get_items(node)
    assert caught.value.condition == "jid-malformed"
    assert "pw" not in str(caught.value)


def test_hosts_that_cannot_be_reached(service: HttpFeedService) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(PubsubUnavailableError):
            service.get_items(f"http://127.0.0.1:{unused.getsockname()[1]}/")
    with pytest.raises(PubsubUnavailableError, match="resolved"):
        service.get_items("http://host.invalid/feed")


def test_web_feeds_can_only_be_read(service: HttpFeedService) -> None:
    node = "https://a.example/feed"
    calls = (
        lambda: service.publish(node, b""),
        lambda: service.retract(node, ["1"]),
        lambda: service.create_node(node),
        lambda: service.delete_node(node),
        lambda: service.purge_node(node),
        lambda: service.configure_node(node, {}),
        lambda: service.subscribe(node),
    )
    for call in calls:
        with pytest.raises(PubsubUnsupportedError):
            call()
    with pytest.raises(PubsubItemNotFound, match="pass None"):
        service.nodes("elsewhere")
    service.close()
    with pytest.raises(PubsubClosedError):
        service.get_items(node)


@pytest.mark.parametrize(
    "make",
    [
        lambda: WebOptions(timeout=0),
        lambda: WebOptions(largest=0),
        lambda: WebOptions(redirects=-1),
        lambda: WebOptions(allow=("everywhere",)),
        lambda: WebOptions(allow="127.0.0.1"),  # type: ignore[arg-type]
        lambda: HttpFeedService(max_age=-1),
        lambda: HttpFeedService(most_documents=0),
        lambda: WebSub(HttpFeedService(), "https://a.example/", b"short"),
        lambda: WebSub(HttpFeedService(), "https://a.example/", b"k" * 16, lease=1),
    ],
)
def test_options(make: Any) -> None:
    with pytest.raises(InvalidValueError):
        make()
