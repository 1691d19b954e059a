"""The application: its routes, and the access checks of each route."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from feedapp.follows import Follows
from feedapp.pages import feed_page, sign_in_page
from feedstore import Activity
from feedstore.serve import LiveTimelines, SecurityHeaders, TimelineEndpoints, asset_route
from feedstore.storage import Backend
from feedstore.timeline_keys import reader_key

LONGEST_TIMELINE = 800
_LONGEST_NAME = 40
_LONGEST_TEXT = 2_000


class FeedApplication:
    """Request handlers. A signed cookie holds the user's name, and it alone decides which feed a request may read."""

    def __init__(self, backend: Backend) -> None:
        self._activities = backend.activity_storage()
        self._timelines = backend.timeline_storage(notifier=backend.notifier())
        self._follows = Follows(backend)

    def timeline_of(self, request: Request) -> str | None:
        """Return the key of the signed-in user's feed, or None without a signed-in user."""
        name = request.session.get("name")
        return None if name is None else reader_key(name)

    async def home(self, request: Request) -> Response:
        """Return the feed page, or the sign-in page without a signed-in user."""
        name = request.session.get("name")
        return HTMLResponse(sign_in_page() if name is None else feed_page(name))

    async def sign_in(self, request: Request) -> Response:
        """Accept any name. A real application would check a password here."""
        _refuse_other_sites(request)
        form = dict(parse_qsl((await request.body()).decode(errors="replace")))
        request.session["name"] = _text(form.get("name"), "your name", _LONGEST_NAME)
        return RedirectResponse("/", status_code=303)

    async def sign_out(self, request: Request) -> Response:
        """Sign the user out."""
        _refuse_other_sites(request)
        request.session.clear()
        return RedirectResponse("/", status_code=303)

    async def follow(self, request: Request) -> Response:
        """Let the signed-in user follow another user."""
        name, values = await _signed_in(request)
        followee = _text(values.get("followee"), "the name of the user to follow", _LONGEST_NAME)
        await run_in_threadpool(self._follows.add, name, followee)
        return JSONResponse({"said": f"You follow {followee} from now on."}, status_code=201)

    async def post(self, request: Request) -> Response:
        """Store an activity of the signed-in user, and fan it out to the user's own feed and those of all followers."""
        name, values = await _signed_in(request)
        verb = _text(values.get("verb"), "the verb", _LONGEST_NAME)
        thing = _text(values.get("object"), "the object", _LONGEST_TEXT)
        comment = {"text": _text(values["text"], "the comment", _LONGEST_TEXT)} if values.get("text") else None
        activity = Activity(name, verb, thing, extra_context=comment)
        followers = await run_in_threadpool(self._deliver, name, activity)
        return JSONResponse({"said": f"Posted to your feed and {followers} others."}, status_code=201)

    def _deliver(self, name: str, activity: Activity) -> int:
        followers = self._follows.followers(name)
        keys = [reader_key(reader) for reader in {*followers, name}]
        # Store the activity first, so that no timeline refers to an activity that is not stored yet.
        self._activities.add(activity)
        self._timelines.add_to_many(keys, [activity], max_length=LONGEST_TIMELINE)
        return len(keys) - 1


def new_application(backend: Backend, secret: str) -> Starlette:
    """Return the application. ``secret`` signs the cookies: keep it out of the code."""
    live = LiveTimelines(backend)
    feeds = FeedApplication(backend)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        await live.close()

    routes = [
        Route("/", feeds.home),
        Route("/sign-in", feeds.sign_in, methods=["POST"]),
        Route("/sign-out", feeds.sign_out, methods=["POST"]),
        Route("/follows", feeds.follow, methods=["POST"]),
        Route("/activities", feeds.post, methods=["POST"]),
        *TimelineEndpoints(live, feeds.timeline_of).routes(),
        asset_route(),
    ]
    session = Middleware(SessionMiddleware, secret_key=secret, session_cookie="feedapp", same_site="lax")
    return Starlette(routes=routes, middleware=[Middleware(SecurityHeaders), session], lifespan=lifespan)


async def _signed_in(request: Request) -> tuple[str, dict[str, Any]]:
    """Return the name of the signed-in user and the JSON object of the request's body."""
    _refuse_other_sites(request)
    name = request.session.get("name")
    if name is None:
        raise HTTPException(403, "sign in first")
    try:
        values = await request.json()
    except ValueError:
        values = None
    if not isinstance(values, dict):
        raise HTTPException(400, "send a JSON object")
    return name, values


def _refuse_other_sites(request: Request) -> None:
    """Refuse a request that a page of another site sends with this site's cookie."""
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise HTTPException(403, "this form belongs to another site")


def _text(value: object, field: str, longest: int) -> str:
    text = value.strip() if isinstance(value, str) else ""
    # JSON can hold lone surrogates, which no store accepts.
    if not 0 < len(text) <= longest or any("\ud800" <= character <= "\udfff" for character in text):
        raise HTTPException(400, f"{field} must have 1 to {longest} characters")
    return text
