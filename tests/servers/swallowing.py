"""Proxy for any server, which forwards all data until it is switched to discard it without an answer."""

from __future__ import annotations

import socket
import threading

from servers.acceptor import Acceptor, shut

_BYTES = 2**16


class SwallowingProxy(Acceptor):
    """A proxy that forwards bytes in both directions. ``connections`` counts the accepted connections."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._passes = threading.Event()
        self._passes.set()
        self._deaf: set[socket.socket] = set()
        self._open: set[socket.socket] = set()
        self.connections = 0
        super().__init__()

    def swallow(self) -> None:
        """Accept and acknowledge data from now on, and forward none of it."""
        self._passes.clear()

    def pass_on(self) -> None:
        """Serve new connections again. The open connections stay without answers."""
        self._deaf |= self._open
        self._passes.set()

    def cut_off_those_that_are_open(self) -> None:
        """Discard the data of the open connections, and serve new connections."""
        self._deaf |= self._open

    def _serve(self, client: socket.socket) -> None:
        self.connections += 1
        self._open.add(client)
        with client, socket.create_connection(self._target) as server:
            back = threading.Thread(target=self._pass_on, args=(client, server, client), daemon=True)
            back.start()
            self._pass_on(client, client, server)
            back.join()
        self._open.discard(client)

    def _pass_on(self, client: socket.socket, source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(_BYTES):
                if self._passes.is_set() and client not in self._deaf:
                    target.sendall(data)
        except OSError:
            return
        finally:
            shut(source)
            shut(target)
