"""Running an application that streams, and ending it promptly."""

from __future__ import annotations

import signal
import socket
import sys

import uvicorn
from starlette.types import ASGIApp

_STREAMS_MAY_TAKE_SECONDS = 5


class LiveServer:
    """Serves an application at ``host`` and ``port``; port 0 is a free one.

    Bound at once, so that :attr:`url` is known; raises ``OSError`` if it cannot be.
    """

    def __init__(self, app: ASGIApp, host: str, port: int) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=family)
        self._host = f"[{host}]" if family is socket.AF_INET6 else host
        self.port: int = self._socket.getsockname()[1]
        # A client that takes nothing any more must not keep the server from leaving.
        config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=_STREAMS_MAY_TAKE_SECONDS)
        self._server = uvicorn.Server(config)

    @property
    def url(self) -> str:
        """Where it serves."""
        return f"http://{self._host}:{self.port}"

    def run(self) -> None:
        """Serve until SIGINT or SIGTERM; the streams end then, each with a hint when to come back."""
        # uvicorn raises the signal again after it has left in good order: there is nothing left to end then.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        try:
            self._server.run(sockets=[self._socket])
        except KeyboardInterrupt:
            return
        finally:
            self._socket.close()
