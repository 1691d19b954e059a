"""The application: its addresses, and who may do what at them."""

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
    """Answers requests. Somebody who is signed in has a signed cookie, and it alone says whose feed a request sees."""

    def __init__(self, backend: Backend) -> None:
        self._activities = backend.activity_storage()
        self._timelines = backend.timeline_storage(notifier=backend.notifier())
        self._follows = Follows(backend)

    def timeline_of(self, request: Request) -> str | None:
        """Return the key of the feed that a request may see: that of whoever is signed in."""
        name = request.session.get("name")
        return None if name is None else reader_key(name)

    async def home(self, request: Request) -> Response:
        """Show the feed, or ask who it is."""
        name = request.session.get("name")
        return HTMLResponse(sign_in_page() if name is None else feed_page(name))

    async def sign_in(self, request: Request) -> Response:
        """Believe a name. An application would ask for a password here."""
        _refuse_other_sites(request)
        form = dict(parse_qsl((await request.body()).decode(errors="replace")))
        request.session["name"] = _text(form.get("name"), "your name", _LONGEST_NAME)
        return RedirectResponse("/", status_code=303)

    async def sign_out(self, request: Request) -> Response:
        """Forget who it is."""
        _refuse_other_sites(request)
        request.session.clear()
        return RedirectResponse("/", status_code=303)

    async def follow(self, request: Request) -> Response:
        """Let whoever is signed in follow somebody from now on."""
        name, values = await _signed_in(request)
        followee = _text(values.get("followee"), "whom to follow", _LONGEST_NAME)
        await run_in_threadpool(self._follows.add, name, followee)
        return JSONResponse({"said": f"You follow {followee} from now on."}, status_code=201)

    async def post(self, request: Request) -> Response:
        """Store what somebody did, and put it into the feeds of all followers and their own."""
        name, values = await _signed_in(request)
        verb = _text(values.get("verb"), "what you did", _LONGEST_NAME)
        what = _text(values.get("object"), "what you did it to", _LONGEST_TEXT)
        comment = {"text": _text(values["text"], "no more about it", _LONGEST_TEXT)} if values.get("text") else None
        activity = Activity(name, verb, what, extra_context=comment)
        followers = await run_in_threadpool(self._deliver, name, activity)
        return JSONResponse({"said": f"Posted to your feed and {followers} others."}, status_code=201)

    def _deliver(self, name: str, activity: Activity) -> int:
        followers = self._follows.followers(name)
        keys = [reader_key(reader) for reader in {*followers, name}]
        # First the activity, so that nobody is told of one that is not there yet.
        self._activities.add(activity)
        self._timelines.add_to_many(keys, [activity], max_length=LONGEST_TIMELINE)
        return len(keys) - 1


def new_application(backend: Backend, secret: str) -> Starlette:
    """Return the application. Whoever knows ``secret`` can sign in as anybody: keep it out of the code."""
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
    """Return who is signed in and the JSON object that they sent."""
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
    """Refuse what another site's page sends with this site's cookie."""
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise HTTPException(403, "this form belongs to another site")


def _text(value: object, what: str, longest: int) -> str:
    text = value.strip() if isinstance(value, str) else ""
    # JSON can hold halves of characters, which no store keeps.
    if not 0 < len(text) <= longest or any("\ud800" <= character <= "\udfff" for character in text):
        raise HTTPException(400, f"say {what}, in 1 to {longest} characters")
    return text
