"""A server for an application with streams, which ends promptly."""

from __future__ import annotations

import signal
import socket
import sys

import uvicorn
from starlette.types import ASGIApp

_STREAMS_MAY_TAKE_SECONDS = 5


class LiveServer:
    """Serves an application at ``host`` and ``port``; port 0 chooses a free port.

    The constructor binds the port, so that :attr:`url` is known. Raises ``OSError`` if the port cannot be bound.
    """

    def __init__(self, app: ASGIApp, host: str, port: int) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=family)
        self._host = f"[{host}]" if family is socket.AF_INET6 else host
        self.port: int = self._socket.getsockname()[1]
        # A client that reads nothing must not keep the server from shutting down.
        config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=_STREAMS_MAY_TAKE_SECONDS)
        self._server = uvicorn.Server(config)

    @property
    def url(self) -> str:
        """The URL of the server."""
        return f"http://{self._host}:{self.port}"

    def run(self) -> None:
        """Serve until SIGINT or SIGTERM; then the streams end, each with a retry hint."""
        # uvicorn raises the signal again after an orderly shutdown; then the process only has to exit.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        try:
            self._server.run(sockets=[self._socket])
        except KeyboardInterrupt:
            return
        finally:
            self._socket.close()
