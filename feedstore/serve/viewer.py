"""A read-only site that shows all timelines and events of a namespace to visitors with the token."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hmac import compare_digest
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from feedstore.errors import InvalidValueError, StorageError, StoredDataError
from feedstore.events import BackendEventStore
from feedstore.feeds.notification_feed import UNSEEN
from feedstore.live import EventEndpoints, LiveEvents, LiveTimelines, TimelineEndpoints
from feedstore.live.response import TRY_AGAIN
from feedstore.serve.groups import groups_document
from feedstore.serve.index import IndexQuery, render_index
from feedstore.serve.page import ASSETS, Markup, asset_route, fill, render_log, render_page, render_plain_page
from feedstore.serve.server import RootPath, SecurityHeaders
from feedstore.storage import Backend

_MAY_LOOK = "may_look"
# All URLs are relative to the page, so that a proxy may serve the site under any path.
_ROOT = "."
_CHOOSER = """
<form class="card" method="get" action="./">
  <div class="row">
    <label>Timeline<input name="key" value="$key" required maxlength="1024" placeholder="feed:bob" autocomplete="off" spellcheck="false"></label>
    <button class="primary">Show</button>
  </div>
</form>
"""  # noqa: E501
_GROUPS = """
<section class="groups" data-groups-url="$groups_url" data-marks-url="$marks_url" aria-label="Groups" hidden>
  <p class="count" role="status"></p>
  <ul class="card keys"></ul>
</section>
<script type="module" src="$assets/groups.js"></script>
"""
_TO_EVENTS = '<p class="more"><a href="log">Events</a></p>'
_NO_STORE = {"cache-control": "no-store"}
_LOCKED = '<p class="empty">Open the address that <b>feedstore serve</b> printed: the token in it lets you in.</p>'


class Viewer:
    """The pages of the site. A visitor who sends the token gets a signed cookie, and may then see every timeline."""

    def __init__(self, backend: Backend, live: LiveTimelines, token: str, about: str) -> None:
        self._backend = backend
        self._live = live
        self._token = token
        self._about = about

    async def home(self, request: Request) -> Response:
        """Show the index, or the timeline in ``?key=``. A valid ``?token=`` sets the cookie."""
        token = request.query_params.get("token")
        if token is not None and compare_digest(token.encode(), self._token.encode()):
            request.session[_MAY_LOOK] = True
            rest = {"key": request.query_params["key"]} if "key" in request.query_params else {}
            return RedirectResponse(f"./?{urlencode(rest)}" if rest else "./", status_code=303)
        if not self.may_look(request):
            # The page says nothing about the store, because every visitor may see it.
            return HTMLResponse(render_plain_page("Locked", "", Markup(_LOCKED), _ROOT), status_code=403)
        key = request.query_params.get("key")
        if key is not None:
            return HTMLResponse(self._timeline_page(key))
        return HTMLResponse(await run_in_threadpool(self._list_page, _index_query(request)))

    async def groups(self, request: Request) -> Response:
        """Answer with the groups and the badge of the aggregated feed in ``?key=`` as JSON; 204 for a flat feed.

        403 unless authorized, 400 for an invalid key, 503 if the store does not answer or holds a damaged entry.
        """
        key = self.authorize(request)
        if key is None:
            return Response(status_code=403)
        try:
            document = await run_in_threadpool(groups_document, key, self._backend)
        except InvalidValueError as error:
            return JSONResponse({"detail": str(error)}, status_code=400)
        except StoredDataError as error:
            return JSONResponse({"detail": str(error)}, status_code=503)
        except StorageError:
            return JSONResponse({"detail": "the store does not answer; try again"}, 503, headers=TRY_AGAIN)
        return Response(status_code=204) if document is None else JSONResponse(document, headers=_NO_STORE)

    async def log(self, request: Request) -> Response:
        """Show the events of the namespace, filtered by ``?tags=`` and ``?match=``."""
        if not self.may_look(request):
            return HTMLResponse(render_plain_page("Locked", "", Markup(_LOCKED), _ROOT), status_code=403)
        return HTMLResponse(render_log(request.query_params, self._about, _ROOT))

    def may_look(self, request: Request) -> bool:
        """Return whether the request has the cookie."""
        return bool(request.session.get(_MAY_LOOK))

    def authorize(self, request: Request) -> str | None:
        """Return the requested key if the request has the cookie, else None."""
        return request.query_params.get("key") if self.may_look(request) else None

    def _timeline_page(self, key: str) -> str:
        query = urlencode({"key": key})
        controls = fill(_CHOOSER, key=key)
        marks = urlencode({"key": f"{key}{UNSEEN}"})
        groups = fill(_GROUPS, groups_url=f"groups?{query}", marks_url=f"events?{marks}", assets=_ROOT + ASSETS)
        controls = Markup(controls + groups)
        return render_page(key, self._about, f"timeline?{query}", f"events?{query}", controls=controls, root=_ROOT)

    def _list_page(self, query: IndexQuery) -> str:
        index = render_index(self._backend.timeline_storage().keys(), query)
        content = Markup(fill(_CHOOSER, key="") + index + _TO_EVENTS)
        return render_plain_page("Timelines", self._about, content, _ROOT)


def _index_query(request: Request) -> IndexQuery:
    parameters = request.query_params
    return IndexQuery(parameters.get("search", ""), parameters.get("sort") == "z", parameters.get("after"))


def new_viewer(backend: Backend, token: str, about: str, root_path: str = "") -> Starlette:
    """Return the site as an application. Sessions are signed with a secret of this process, and end with it.

    ``about`` describes the store to visitors with the token. ``root_path`` is the path of the site, such as
    ``/feeds``; a proxy that strips the path needs none.
    """
    live = LiveTimelines(backend)
    tail = LiveEvents(BackendEventStore(backend))
    viewer = Viewer(backend, live, token, about)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        await live.close()
        await tail.close()

    routes = [
        Route("/", viewer.home, methods=["GET"]),
        Route("/groups", viewer.groups, methods=["GET"]),
        Route("/log", viewer.log, methods=["GET"]),
        *TimelineEndpoints(live, viewer.authorize).routes(),
        *EventEndpoints(tail, viewer.may_look).routes("/log"),
        asset_route(),
    ]
    session = Middleware(
        SessionMiddleware,
        secret_key=secrets.token_urlsafe(),
        # Browsers do not separate cookies by port: two viewers on one machine must not sign each other out.
        session_cookie=f"feedstore_viewer_{secrets.token_hex(4)}",
        max_age=None,
        path=root_path or "/",
        same_site="lax",
    )
    under = [Middleware(RootPath, path=root_path)] if root_path else []
    return Starlette(routes=routes, middleware=[*under, Middleware(SecurityHeaders), session], lifespan=lifespan)
