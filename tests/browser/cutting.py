"""A proxy in front of a server that cuts connections, and lets nobody through for as long as it is told."""

from __future__ import annotations

import socket
import threading

from servers.ports import LOOPBACK

_BYTES = 2**16


class CuttingProxy:
    """Forwards connections to a port of the loopback address; a context manager."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._is_cut = False
        self._listener = socket.create_server((LOOPBACK, 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def __enter__(self) -> CuttingProxy:
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()
        # Closing alone would not wake who waits for the next connection.
        _end(self._listener)
        self._thread.join()
        self._listener.close()

    def cut(self) -> None:
        """End all connections, and let nobody through any more."""
        with self._lock:
            self._is_cut = True
            for connection in self._open:
                _end(connection)

    def mend(self) -> None:
        """Let new connections through."""
        with self._lock:
            self._is_cut = False

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

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
        # Cut; so is the other way then.
        _end(source)
    _end(target)


def _end(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
