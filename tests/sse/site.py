"""A site for the tests: who asks says so in a header, and a server for it in a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from types import TracebackType
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from feedstore.channels.sse import LiveTimelines, TimelineEndpoints
from polling import poll_until

WHO = "x-who"


def who_asks(request: Request) -> str | None:
    """The timeline of whoever asks."""
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
    """A server in a thread of its own, which serves one site after another: to start one takes longer than most tests.

    A context manager; ``port`` is where it serves.
    """

    def __init__(self) -> None:
        options: dict[str, Any] = {"interface": "asgi3", "lifespan": "off", "timeout_graceful_shutdown": 5}
        self._server = uvicorn.Server(uvicorn.Config(self._answer, port=0, log_level="error", **options))
        self._loop = asyncio.new_event_loop()
        self._site: ASGIApp | None = None

    def __enter__(self) -> SiteServer:
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._server.serve(),))
        self._thread.start()
        poll_until(lambda: self._server.started, 20, "the start of the server")
        self.port: int = self._server.servers[0].sockets[0].getsockname()[1]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    @contextmanager
    def serving(self, live: LiveTimelines) -> Iterator[int]:
        """Serve timelines, and give the port."""
        with self.serving_site(new_site(live)):
            try:
                yield self.port
            finally:
                asyncio.run_coroutine_threadsafe(live.close(), self._loop).result(20)

    @contextmanager
    def serving_site(self, site: ASGIApp) -> Iterator[int]:
        """Serve a site, whose lifespan is not asked for, and give the port."""
        self._site = site
        try:
            yield self.port
        finally:
            self._site = None

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self._site is not None, "no site is served now"
        await self._site(scope, receive, send)
