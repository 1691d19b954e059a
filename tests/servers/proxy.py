"""A proxy in front of a Redis server that loses answers, or gives some of its own."""

from __future__ import annotations

import socket
from collections import deque

from servers.acceptor import Acceptor
from servers.ports import LOOPBACK

_BYTES = 2**16


class Proxy(Acceptor):
    """Forwards requests to a server's port, one at a time for each connection.

    What is put into ``plan`` is done to the next requests that hold ``marker``: ``None`` carries the request out and
    cuts the connection instead of answering; bytes are answered instead of carrying it out.
    """

    def __init__(self, port: int, marker: bytes) -> None:
        self.plan: deque[bytes | None] = deque()
        self.requests = 0
        self._target = port
        self._marker = marker
        super().__init__()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection((LOOPBACK, self._target)) as server:
            while request := _received(client):
                if not self._answer(client, server, request):
                    return

    def _answer(self, client: socket.socket, server: socket.socket, request: bytes) -> bool:
        """Answer a request; return whether the connection goes on."""
        is_planned = self._marker in request and bool(self.plan)
        self.requests += self._marker in request
        planned = self.plan.popleft() if is_planned else None
        if planned is not None:
            client.sendall(planned)
            return True
        server.sendall(request)
        answer = _received(server)
        if is_planned:
            return False
        client.sendall(answer)
        return True


def _received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(_BYTES)
    except OSError:
        return b""
