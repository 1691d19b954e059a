"""A proxy in front of a server, which cuts connections and can refuse new ones."""

from __future__ import annotations

import socket
import threading

from servers.acceptor import Acceptor, shut
from servers.ports import LOOPBACK

_BYTES = 2**16


class CuttingProxy(Acceptor):
    """Forwards connections to a port of the loopback address."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._is_cut = False
        super().__init__()

    def close(self) -> None:
        """Cut all connections, and stop the proxy."""
        self.cut()
        super().close()

    def cut(self) -> None:
        """End all connections, and refuse new ones."""
        with self._lock:
            self._is_cut = True
            for connection in self._open:
                shut(connection)

    def mend(self) -> None:
        """Let new connections through."""
        with self._lock:
            self._is_cut = False

    def _serve(self, client: socket.socket) -> None:
        with client:
            try:
                server = socket.create_connection((LOOPBACK, self._target))
            except OSError:
                return
            with server:
                self._forward_both_ways(client, server)

    def _forward_both_ways(self, client: socket.socket, server: socket.socket) -> None:
        with self._lock:
            if self._is_cut:
                return
            self._open |= {client, server}
        back = threading.Thread(target=_forward, args=(server, client), daemon=True)
        back.start()
        _forward(client, server)
        back.join()
        with self._lock:
            self._open -= {client, server}


def _forward(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(_BYTES):
            target.sendall(data)
    except OSError:
        # A cut ends both directions.
        shut(source)
    shut(target)
