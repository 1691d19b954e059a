"""A server for an application with streams, which ends promptly, and middleware for it."""

from __future__ import annotations

import signal
import socket
import sys

import uvicorn
from starlette.datastructures import MutableHeaders
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

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


_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


class SecurityHeaders:
    """Middleware that lets a page load only its own files, and no other site embed it or read its answers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and add the headers to its answer."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        await self._app(scope, receive, send_with_headers)


class RootPath:
    """Middleware for an application that is served under ``path``, whether a proxy strips the path or passes it on."""

    def __init__(self, app: ASGIApp, path: str) -> None:
        self._app = app
        self._path = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with the root path at the start of its path, as ASGI requires."""
        if scope["type"] == "http":
            path: str = scope["path"]
            if path == self._path:
                query = scope["query_string"].decode("latin-1")
                await RedirectResponse(f"{path}/" + (f"?{query}" if query else ""))(scope, receive, send)
                return
            whole = path if path.startswith(f"{self._path}/") else self._path + path
            scope = {**scope, "root_path": self._path, "path": whole}
        await self._app(scope, receive, send)
