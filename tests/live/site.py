"""A site for the tests, whose users name themselves in a header, and a server for it in a thread."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from types import TracebackType
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from feedstore.live import LiveTimelines, TimelineEndpoints
from polling import poll_until

WHO = "x-who"
_SEND_BUFFER_BYTES = 65_536


def who_asks(request: Request) -> str | None:
    """The timeline of the user in the header."""
    who = request.headers.get(WHO)
    return None if who is None else f"feed:{who}"


def new_site(live: LiveTimelines) -> Starlette:
    """An application that streams."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        await live.close()

    return Starlette(routes=TimelineEndpoints(live, who_asks).routes(), lifespan=lifespan)


class SiteServer:
    """A server in a thread of its own, which serves one site after another. Its start takes longer than most tests.

    It is a context manager. ``port`` is its port.
    """

    def __init__(self) -> None:
        options: dict[str, Any] = {"interface": "asgi3", "lifespan": "off", "timeout_graceful_shutdown": 5}
        self._server = uvicorn.Server(uvicorn.Config(self._answer, log_level="error", **options))
        # Connections inherit the size: a client that does not read is noticed after few bytes.
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        self.port: int = self._socket.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._site: ASGIApp | None = None

    def __enter__(self) -> SiteServer:
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))
        self._thread.start()
        poll_until(lambda: self._server.started, 20, "the start of the server")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._loop.close()

    @contextmanager
    def serving(self, live: LiveTimelines) -> Iterator[int]:
        """Serve timelines, and return the port."""
        with self.serving_site(new_site(live)):
            try:
                yield self.port
            finally:
                asyncio.run_coroutine_threadsafe(live.close(), self._loop).result(20)

    @contextmanager
    def serving_site(self, site: ASGIApp) -> Iterator[int]:
        """Serve a site without running its lifespan, and return the port."""
        self._site = site
        try:
            yield self.port
        finally:
            self._site = None

    def connections(self) -> int:
        """Return the number of the server's connections."""
        return len(self._server.server_state.connections)

    def buffered_bytes(self) -> int:
        """Return the number of bytes that the server holds for slow clients."""
        transports = [connection.transport for connection in list(self._server.server_state.connections)]
        return sum(transport.get_write_buffer_size() for transport in transports if transport is not None)

    async def _serve(self) -> None:
        await self._server.serve(sockets=[self._socket])
        await self._loop.shutdown_default_executor()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self._site is not None, "no site is served now"
        await self._site(scope, receive, send)
