"""A site of one live page, as a process that a test may kill: ``python -m browser.live_site URL PORT``."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from feedstore import connect
from feedstore.serve import (
    LiveServer,
    LiveTimelines,
    SecurityHeaders,
    TimelineEndpoints,
    asset_route,
    render_page,
)
from servers.ports import LOOPBACK

KEY = "feed:bob"


def new_site(live: LiveTimelines) -> Starlette:
    """Return the site, which shows one timeline to every visitor."""

    async def home(request: Request) -> Response:
        return HTMLResponse(render_page("The feed of bob", "Live", "/timeline", "/events"))

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        await live.close()

    endpoints = TimelineEndpoints(live, lambda request: KEY)
    routes = [Route("/", home), *endpoints.routes(), asset_route()]
    return Starlette(routes=routes, middleware=[Middleware(SecurityHeaders)], lifespan=lifespan)


if __name__ == "__main__":
    with connect(sys.argv[1]) as backend:
        LiveServer(new_site(LiveTimelines(backend)), LOOPBACK, int(sys.argv[2])).run()
