"""A site for the tests: who asks says so in a header, and a server for it in a process or a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request

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


@contextmanager
def serving(live: LiveTimelines) -> Iterator[int]:
    """Serve timelines from a thread, and give the port."""
    config = uvicorn.Config(new_site(live), port=0, log_level="error", timeout_graceful_shutdown=5)
    server = uvicorn.Server(config)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_until_complete, args=(server.serve(),))
    thread.start()

    def stop() -> None:
        live.end_streams()
        server.should_exit = True

    try:
        poll_until(lambda: server.started, 20, "the start of the server")
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        loop.call_soon_threadsafe(stop)
        thread.join()
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
