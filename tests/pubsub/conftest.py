"""Fixtures of the tests of services: a web server, an XMPP server, and services that reach them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest

from feedstore.pubsub.web_feeds import HttpFeedService
from feedstore.pubsub.xmpp_service import XmppPubsubService
from pubsub.web_server import LOCAL, WebServer
from servers.ports import LOOPBACK
from servers.prosody import SERVICE, OwnProsodyServer

Connect = Callable[..., XmppPubsubService]


@pytest.fixture
def server() -> Iterator[WebServer]:
    """A web server without pages."""
    with WebServer() as server:
        yield server


@pytest.fixture
def service() -> Iterator[HttpFeedService]:
    """A service that keeps no document without a request."""
    with HttpFeedService(options=LOCAL, max_age=0) as service:
        yield service


@pytest.fixture(scope="session")
def prosody() -> Iterator[OwnProsodyServer]:
    """An XMPP server with the accounts ann and bob, which a test may restart."""
    server = OwnProsodyServer()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def connect(prosody: OwnProsodyServer) -> Iterator[Connect]:
    """A callable that returns the access of an account to the server. The access is closed at the end."""
    services = []

    def connect(name: str, password: str | None = None, timeout: float = 30.0) -> XmppPubsubService:
        service = XmppPubsubService(
            f"{name}@localhost",
            name if password is None else password,
            default_service=SERVICE,
            address=(LOOPBACK, prosody.port),
            tls=False,
            timeout=timeout,
            longest_delay=0.5,
        )
        services.append(service)
        return service

    yield connect
    for service in services:
        service.close()


@pytest.fixture(scope="session")
def ann(connect: Connect) -> XmppPubsubService:
    """The access of the account that may create nodes."""
    return connect("ann")


@pytest.fixture(scope="session")
def bob(connect: Connect) -> XmppPubsubService:
    """The access of another account."""
    return connect("bob")


@pytest.fixture
def node() -> str:
    """The name of a node that no other test uses."""
    return f"notes/{uuid4()}"
