"""Proxies in front of a Redis server: one that loses or invents answers, and one that only forwards."""

from __future__ import annotations

import select
import socket
import threading
from collections import deque

from servers.acceptor import Acceptor, shut
from servers.ports import LOOPBACK

_BYTES = 2**16


class Proxy(Acceptor):
    """Forwards requests to a server's port, one at a time for each connection.

    The members of ``plan`` apply to the next requests that contain ``marker``, in order. For None, the proxy forwards
    the request and closes the connection without an answer. Bytes are the answer of the proxy, which then does not
    forward the request.
    """

    def __init__(self, port: int, marker: bytes) -> None:
        self.plan: deque[bytes | None] = deque()
        self.requests = 0
        self._target = port
        self._marker = marker
        super().__init__()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection((LOOPBACK, self._target)) as server:
            while True:
                # An answer may come in several parts, and a part of it before the end of a long request.
                if server in select.select([client, server], [], [])[0]:
                    answer = _received(server)
                    if not answer:
                        return
                    client.sendall(answer)
                else:
                    request = _received(client)
                    if not request or not self._forward(client, server, request):
                        return

    def _forward(self, client: socket.socket, server: socket.socket, request: bytes) -> bool:
        """Forward a part of a request, or answer it by the plan; return whether the connection goes on."""
        is_planned = self._marker in request and bool(self.plan)
        self.requests += self._marker in request
        planned = self.plan.popleft() if is_planned else None
        if planned is not None:
            client.sendall(planned)
            return True
        server.sendall(request)
        if not is_planned:
            return True
        # The server has carried the request out when its answer begins. A long request comes in parts.
        while server not in select.select([client, server], [], [])[0]:
            more = _received(client)
            if not more:
                return False
            server.sendall(more)
        return False


class Forwarder(Acceptor):
    """Forwards each connection to a server's port until :meth:`forget`, which a firewall does to idle connections."""

    def __init__(self, port: int) -> None:
        self.connections = 0
        self._target = port
        self._generation = 0
        super().__init__()

    def forget(self) -> None:
        """Discard from now on all data of the open connections, and leave them open."""
        self._generation += 1

    def _serve(self, client: socket.socket) -> None:
        self.connections += 1
        generation = self._generation
        with client, socket.create_connection((LOOPBACK, self._target)) as server:
            back = threading.Thread(target=self._pump, args=(server, client, generation), daemon=True)
            back.start()
            self._pump(client, server, generation)
            back.join()

    def _pump(self, source: socket.socket, target: socket.socket, generation: int) -> None:
        while data := _received(source):
            if generation == self._generation:
                target.sendall(data)
        shut(target)


def _received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(_BYTES)
    except OSError:
        return b""
