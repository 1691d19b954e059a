"""Accept connections at a port of the loopback address, as the base of the proxies of the tests."""

from __future__ import annotations

import socket
import threading
from abc import ABC, abstractmethod

from servers.ports import LOOPBACK


class Acceptor(ABC):
    """A listener on ``port``, which serves each connection in a separate thread."""

    def __init__(self) -> None:
        self._listener = socket.create_server((LOOPBACK, 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop accepting connections."""
        # Closing alone would not wake the thread that waits for the next connection.
        shut(self._listener)
        self._thread.join()
        self._listener.close()

    @abstractmethod
    def _serve(self, client: socket.socket) -> None:
        """Serve one connection, and close it."""

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()


def shut(connection: socket.socket) -> None:
    """Shut a connection down in both directions, which wakes waiting readers. A second call is no error."""
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
