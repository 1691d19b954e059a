"""The connection to an XMPP server, with a real Prosody."""

from __future__ import annotations

import os
import socket
import socketserver
import ssl
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import ClassVar

import pytest

from feedstore.errors import (
    PubsubClosedError,
    PubsubServiceError,
    PubsubTimeoutError,
    PubsubUnavailableError,
)
from feedstore.pubsub import (
    EventsMissed,
    ServiceEvent,
    xmpp_connection,
)
from feedstore.pubsub.xmpp_service import XmppPubsubService
from polling import poll_until
from pubsub.conftest import Connect
from servers.ports import LOOPBACK
from servers.prosody import SERVICE, OwnProsodyServer


def test_a_child_process_opens_its_own_connection(ann: XmppPubsubService, node: str) -> None:
    ann.publish(node, b"<note/>", item_id="i1")
    read, write = os.pipe()
    with warnings.catch_warnings():
        # Python 3.12 warns of forks in a process with threads.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            os.write(write, ann.get_items(node).items[0].id.encode())
        finally:
            os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    with os.fdopen(read, "rb") as answer:
        assert answer.read() == b"i1"
    assert [one.id for one in ann.get_items(node).items] == ["i1"]


def test_a_lost_connection_is_opened_again(prosody: OwnProsodyServer, connect: Connect, node: str) -> None:
    service = connect("bob", timeout=30)
    events: list[ServiceEvent] = []
    service.add_listener(events.append)
    service.connect()
    prosody.kill()
    later = connect("bob")
    with ThreadPoolExecutor(1) as pool:
        try:
            waiting = pool.submit(later.supports_rsm)
            poll_until(lambda: later._connection._error is not None, 30, "an attempt to connect that fails")
        finally:
            prosody.start()
        assert waiting.result(30) is False

    def answers() -> bool:
        try:
            return bool(service.features())
        except (PubsubUnavailableError, PubsubTimeoutError):
            return False

    poll_until(lambda: EventsMissed() in events and answers(), 60, "the next connection")


def test_a_wrong_password_fails_without_waiting(connect: Connect) -> None:
    service = connect("ann", password="wrong")
    for _ in range(20):
        with pytest.raises(PubsubServiceError, match="password of ann@localhost") as caught:
            service.nodes()
        assert caught.value.condition == "not-authorized"
        assert "wrong" not in str(caught.value)


def test_a_server_that_does_not_answer(prosody: OwnProsodyServer, connect: Connect) -> None:
    service = connect("bob", timeout=0.5)
    poll_until(lambda: _connects(service), 30, "the connection")
    prosody.pause()
    try:
        with pytest.raises(PubsubTimeoutError, match=r"0\.5 seconds"):
            service.nodes()
    finally:
        prosody.resume()


def test_a_server_that_opens_no_session_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xmpp_connection, "_OPEN_SECONDS", 0.1)
    with ExitStack() as stack:
        silent = stack.enter_context(socket.create_server((LOOPBACK, 0)))
        silent.settimeout(30)
        service = XmppPubsubService("ann@localhost", "ann", address=silent.getsockname(), tls=False, timeout=0.1)
        stack.enter_context(service)
        with pytest.raises(PubsubUnavailableError):
            service.connect()
        for _ in range(2):
            stack.enter_context(silent.accept()[0])


def _connects(service: XmppPubsubService) -> bool:
    try:
        service.connect()
    except PubsubUnavailableError:
        return False
    return True


def test_the_certificate_is_checked(prosody: OwnProsodyServer) -> None:
    def connected(tls: bool | ssl.SSLContext, timeout: float) -> list[str]:
        address = (LOOPBACK, prosody.port)
        with XmppPubsubService("ann@localhost", "ann", address=address, tls=tls, timeout=timeout) as service:
            return service.nodes(SERVICE)

    assert connected(ssl.create_default_context(cafile=prosody.certificate), 30)
    with pytest.raises(PubsubUnavailableError):
        connected(True, 0.5)


class WithoutEncryption(socketserver.BaseRequestHandler):
    """A party between the account and its server that leaves STARTTLS out of the server's features."""

    received: ClassVar[list[bytes]] = []
    head = b"""<stream:stream xmlns="jabber:client" xmlns:stream="http://etherx.jabber.org/streams" from="localhost"
        id="1" version="1.0"><stream:features><mechanisms xmlns="urn:ietf:params:xml:ns:xmpp-sasl">
        <mechanism>PLAIN</mechanism><mechanism>SCRAM-SHA-1</mechanism></mechanisms></stream:features>"""

    def handle(self) -> None:
        part = self.request.recv(4096)
        if not part.startswith(b"<"):
            return
        self.request.sendall(self.head)
        while part:
            self.received.append(part)
            part = self.request.recv(4096)


def test_no_password_is_sent_without_encryption() -> None:
    with ExitStack() as stack:
        server = stack.enter_context(socketserver.ThreadingTCPServer((LOOPBACK, 0), WithoutEncryption))
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}).start()
        stack.callback(server.shutdown)
        pool = stack.enter_context(ThreadPoolExecutor(1))
        service = XmppPubsubService("ann@localhost", "secret", address=(LOOPBACK, server.server_address[1]))
        stack.enter_context(service)
        waiting = pool.submit(service.connect)
        poll_until(lambda: "no encryption" in str(service._connection._error), 30, "the refusal")
        service.close()
        with pytest.raises(PubsubUnavailableError):
            waiting.result(30)
    assert WithoutEncryption.received
    assert b"auth" not in b"".join(WithoutEncryption.received)


def test_a_closed_service_and_a_missing_server(connect: Connect) -> None:
    service = XmppPubsubService("ann@localhost", "ann", address=(LOOPBACK, 1), tls=False, timeout=0.3)
    with pytest.raises(PubsubUnavailableError, match="no connection"):
        service.connect()
    service.close()
    service.close()
    with pytest.raises(PubsubClosedError):
        service.nodes()
    unused = connect("ann")
    unused.close()
    # As another thread does that had passed the check when the service was closed.
    with pytest.raises(PubsubUnavailableError, match="it was closed"):
        unused._connection.open()
    assert unused._connection._threads == []
