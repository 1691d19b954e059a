"""Subscriptions at hubs, with a real server of HTTP as the hub and the feed."""

from __future__ import annotations

import hashlib
import hmac
import io
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from feedstore.errors import (
    PubsubServiceError,
    PubsubUnsupportedError,
)
from feedstore.pubsub import ItemsPublished, ServiceEvent
from feedstore.pubsub.web_feeds import HttpFeedService
from feedstore.pubsub.websub import WebSub
from pubsub.web_server import Page, WebServer, atom, ids


class Hub:
    """A hub of the tests, which calls the application as a hub does."""

    def __init__(self, server: WebServer, application: WebSub) -> None:
        self._server = server
        self._application = application

    @property
    def form(self) -> dict[str, str]:
        """Return the newest request."""
        request = next(one for one in reversed(self._server.requests) if one.method == "POST")
        return {name: values[0] for name, values in parse_qs(request.body.decode()).items()}

    def call(self, method: str, body: bytes = b"", query: str = "", **environ: Any) -> tuple[str, bytes]:
        path = environ.pop("path", urlsplit(self.form["hub.callback"]).path)
        answers: list[str] = []
        whole: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": io.BytesIO(body),
            **environ,
        }
        parts = self._application(whole, lambda status, headers: answers.append(status))
        return answers[0][:3], b"".join(parts)

    def verify(self, mode: str, topic: str, **more: str) -> tuple[str, bytes]:
        value = {"hub.mode": mode, "hub.topic": topic, "hub.challenge": "c4", **more}
        return self.call("GET", query="&".join(f"{name}={part}" for name, part in value.items()))


def test_a_subscription_at_a_hub(server: WebServer, service: HttpFeedService) -> None:
    events: list[ServiceEvent] = []
    now = [1000.0]
    service.add_listener(events.append)
    websub = WebSub(service, "https://reader.example/websub", b"k" * 32, lease=1000, clock=lambda: now[0])
    hub = Hub(server, websub)
    node, topic = f"{server.url}/feed", f"{server.url}/topic"
    server.pages["/feed"] = Page(atom(1), headers={"Link": f'</hub>; rel="hub", <{topic}>; rel=self'})
    server.pages["/hub"] = Page(status=202)

    assert service.subscribe(node) == "pending"
    form = hub.form
    assert (form["hub.mode"], form["hub.topic"], form["hub.lease_seconds"]) == ("subscribe", topic, "1000")
    assert hub.verify("subscribe", "http://other.example/")[0] == "404"
    assert hub.verify("unsubscribe", topic)[0] == "404"
    assert hub.verify("subscribe", topic, **{"hub.lease_seconds": "500"}) == ("200", b"c4")
    lease = websub.leases[node]
    assert (lease.state, lease.expires) == ("subscribed", 1500.0)
    assert service.subscribe(node) == "subscribed"

    body = atom(2)
    signature = hmac.new(form["hub.secret"].encode(), body, hashlib.sha256).hexdigest()
    forged = hub.call("POST", body, HTTP_X_HUB_SIGNATURE=f"sha256={'0' * 64}")
    unsigned = hub.call("POST", body)
    assert (forged, unsigned, events) == (("202", b""), ("202", b""), [])
    assert hub.call("POST", body, HTTP_X_HUB_SIGNATURE=f"sha256={signature}") == ("202", b"")
    (event,) = events
    assert isinstance(event, ItemsPublished)
    assert (event.node, ids(event.items)) == (node, ["urn:2"])
    assert hub.call("POST", path="/websub/nonsense.0")[0] == "404"
    assert hub.call("PUT")[0] == "405"
    assert hub.call("POST", CONTENT_LENGTH=str(10**9))[0] == "413"
    for length in ("9" * 5000, "-1", "x"):
        assert hub.call("POST", CONTENT_LENGTH=length)[0] == "411"

    assert websub.renew(margin=100) == []
    now[0] = 1450.0
    assert websub.renew(margin=100) == [node]
    server.pages["/hub"] = Page(status=500)
    assert websub.renew(margin=100) == []
    with pytest.raises(PubsubServiceError, match="status 500"):
        service.unsubscribe(node)
    assert hub.verify("subscribe", topic)[0] == "404"
    assert hub.verify("unsubscribe", topic) == ("200", b"c4")
    assert websub.leases == {}


def test_a_feed_that_moves_to_another_hub(server: WebServer, service: HttpFeedService) -> None:
    websub = WebSub(service, "https://reader.example/websub", b"k" * 32)
    hub = Hub(server, websub)
    node = f"{server.url}/feed"
    for path in ("/old", "/new"):
        server.pages["/feed"] = Page(atom(1), headers={"Link": f"<{path}>; rel=hub"})
        server.pages[path] = Page(status=500)
        with pytest.raises(PubsubServiceError, match="status 500"):
            service.subscribe(node)
        assert [one.hub for one in websub.leases.values()] == ([] if path == "/old" else [f"{server.url}/old"])
        server.pages[path] = Page(status=202)
        assert service.subscribe(node) == "pending"
        assert hub.verify("subscribe", node)[0] == "200"
        lease = websub.leases[node]
        assert (lease.hub, lease.state) == (f"{server.url}{path}", "subscribed")


def test_a_subscription_that_follows_its_end(server: WebServer, service: HttpFeedService) -> None:
    websub = WebSub(service, "https://reader.example/websub", b"k" * 32)
    hub = Hub(server, websub)
    node = f"{server.url}/feed"
    server.pages["/feed"] = Page(atom(1), headers={"Link": "</hub>; rel=hub"})
    server.pages["/hub"] = Page(status=202)
    service.unsubscribe(node)
    service.subscribe(node)
    assert hub.verify("unsubscribe", node)[0] == "404"
    assert hub.verify("subscribe", node)[0] == "200"
    assert websub.leases[node].state == "subscribed"


def test_a_hub_may_deny_a_subscription(server: WebServer, service: HttpFeedService) -> None:
    websub = WebSub(service, "https://reader.example/websub", b"k" * 32)
    node = f"{server.url}/feed"
    server.pages["/feed"] = Page(atom(1), headers={"Link": "</hub>; rel=hub"})
    server.pages["/hub"] = Page(status=202)
    service.subscribe(node)
    assert Hub(server, websub).verify("denied", node)[0] == "200"
    assert websub.leases[node].state is None
    assert websub.renew() == []


def test_a_body_without_a_length(server: WebServer, service: HttpFeedService) -> None:
    events: list[ServiceEvent] = []
    service.add_listener(events.append)
    hub = Hub(server, WebSub(service, "https://reader.example/websub", b"k" * 32))
    server.pages["/feed"] = Page(atom(1), headers={"Link": "</hub>; rel=hub"})
    server.pages["/hub"] = Page(status=202)
    service.subscribe(f"{server.url}/feed")
    body = atom(2)
    signature = hmac.new(hub.form["hub.secret"].encode(), body, hashlib.sha256).hexdigest()
    call: dict[str, Any] = {"CONTENT_LENGTH": "", "HTTP_X_HUB_SIGNATURE": f"sha256={signature}"}
    assert hub.call("POST", body, HTTP_TRANSFER_ENCODING="chunked", **call)[0] == "411"
    assert events == []
    ended = {**call, "HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}
    assert hub.call("POST", b"x" * (8 * 1024 * 1024 + 1), **ended)[0] == "413"
    assert hub.call("POST", body, **ended)[0] == "202"
    assert len(events) == 1


def test_a_feed_without_a_hub_is_polled(server: WebServer, service: HttpFeedService) -> None:
    WebSub(service, "https://reader.example/websub", b"k" * 32)
    server.pages["/feed"] = Page(atom(1))
    with pytest.raises(PubsubUnsupportedError, match="names no hub"):
        service.subscribe(f"{server.url}/feed")
