"""The application: its routes, and the access checks of each route."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from feedapp import pages
from feedapp.forms import Form, checked_id, checked_name, token_of, user_of
from feedapp.network import MissingError, Network, RefusedError
from feedapp.pages import Visit
from feedstore.errors import InvalidCursorError, StorageError
from feedstore.live import LiveTimelines, TimelineEndpoints
from feedstore.serve import SecurityHeaders, asset_route

Handler = Callable[[Request], Awaitable[Response]]
_STATIC = Path(__file__).parent / "static"
_NO_STORE = {"cache-control": "no-store"}
_STATUSES: dict[type[Exception], int] = {
    MissingError: 404,
    RefusedError: 403,
    InvalidCursorError: 400,
    StorageError: 503,
}


class SocialApplication:
    """Request handlers. The name in the signed cookie alone decides which feeds a request may read and change."""

    def __init__(self, network: Network) -> None:
        self._network = network

    async def home(self, request: Request) -> Response:
        """Show the home feed, or the form to sign in."""
        name = user_of(request)
        if name is None:
            return _page(pages.sign_in_page(token_of(request)))
        cursor = request.query_params.get("cursor")
        entries, newest = await run_in_threadpool(self._network.home, name, cursor)
        return _page(pages.home_page(await self._visit(request, name), entries, newest, cursor))

    async def profile(self, request: Request) -> Response:
        """Show the profile of the user in ``?name=``."""
        viewer = _signed_in(request)
        name, cursor = checked_name(request.query_params.get("name", "")), request.query_params.get("cursor")
        profile = await run_in_threadpool(self._network.profile, viewer, name, cursor)
        return _page(pages.profile_page(await self._visit(request, viewer), profile))

    async def entry(self, request: Request) -> Response:
        """Show the entry in ``?id=`` and the comments on it."""
        viewer = _signed_in(request)
        entry_id, cursor = checked_id(request.query_params.get("id", "")), request.query_params.get("cursor")
        entry, comments = await run_in_threadpool(self._network.entry, viewer, entry_id, cursor)
        return _page(pages.entry_page(await self._visit(request, viewer), entry, comments))

    async def notifications(self, request: Request) -> Response:
        """Show the notifications, and mark them as seen."""
        name, cursor = _signed_in(request), request.query_params.get("cursor")
        page, posts = await run_in_threadpool(self._network.notifications, name, cursor)
        return _page(pages.notifications_page(await self._visit(request, name), page, posts))

    async def status(self, request: Request) -> Response:
        """Answer with the number of the badge, and of the home feed's entries that are newer than ``?after=``."""
        name, after = _signed_in(request), request.query_params.get("after")
        answer = {"unseen": (await run_in_threadpool(self._network.counts, name)).unseen_groups}
        if after:
            answer["new"] = await run_in_threadpool(self._network.new_entries, name, checked_id(after))
        return JSONResponse(answer, headers=_NO_STORE)

    def home_key(self, request: Request) -> str | None:
        """Return the key of the home feed that a request may stream."""
        name = user_of(request)
        return None if name is None else self._network.manager.get_feed("home", name).key

    def unseen_key(self, request: Request) -> str | None:
        """Return the key of the unseen notifications that a request may stream; adds and marks change them."""
        name = user_of(request)
        return None if name is None else f"{self._network.bell(name).key}:unseen"

    async def sign_in(self, request: Request) -> Response:
        """Accept any name. A real application would check a password here."""
        name = (await Form.read(request)).name()
        request.session.clear()
        request.session["name"] = name
        return RedirectResponse("/", 303)

    async def sign_out(self, request: Request) -> Response:
        """Sign the user out."""
        await Form.read(request)
        request.session.clear()
        return RedirectResponse("/", 303)

    def action(self, act: Callable[[str, Form], object], said: str) -> Handler:
        """Return the handler of a form that changes something and shows the page again, which then says ``said``."""

        async def handler(request: Request) -> Response:
            name = _signed_in(request)
            form = await Form.read(request)
            await run_in_threadpool(act, name, form)
            request.session["said"] = said
            return RedirectResponse(form.back(), 303)

        return handler

    def action_routes(self) -> list[Route]:
        """Return the routes of the forms."""
        network = self._network
        actions: dict[str, tuple[Callable[[str, Form], object], str]] = {
            "post": (lambda name, form: network.post(name, form.text()), "Posted."),
            "comment": (lambda name, form: network.comment(name, form.entry_id(), form.text()), "Comment added."),
            "like": (lambda name, form: network.like(name, form.entry_id()), "Liked."),
            "unlike": (lambda name, form: network.unlike(name, form.entry_id()), "Like taken back."),
            "follow": (lambda name, form: network.follow(name, form.name()), "Followed."),
            "unfollow": (lambda name, form: network.unfollow(name, form.name()), "Unfollowed."),
            "block": (lambda name, form: network.block(name, form.name()), "Blocked."),
            "unblock": (lambda name, form: network.unblock(name, form.name()), "Unblocked."),
            "delete": (lambda name, form: network.delete(name, form.entry_id()), "Deleted."),
            "read": (lambda name, form: network.mark_read(name, form.entry_id()), "Marked as read."),
        }
        return [Route(f"/{path}", self.action(*one), methods=["POST"]) for path, one in actions.items()]

    async def fail(self, request: Request, error: Exception) -> Response:
        """Show an error as a page."""
        kinds = [kind for kind in _STATUSES if isinstance(error, kind)]
        status = error.status_code if isinstance(error, HTTPException) else _STATUSES[kinds[0]]
        said = error.detail if isinstance(error, HTTPException) else str(error)
        if status == 503:
            said = "the store does not answer; try again in a moment"
        return HTMLResponse(pages.error_page(said, user_of(request), token_of(request)), status, headers=_NO_STORE)

    async def _visit(self, request: Request, name: str) -> Visit:
        counts = await run_in_threadpool(self._network.counts, name)
        path = urlsplit(str(request.url))
        here = f"{path.path}?{path.query}" if path.query else path.path
        return Visit(name, token_of(request), here, counts.unseen_groups, request.session.pop("said", ""))


def new_application(network: Network, secret: str, *, is_https: bool = False) -> Starlette:
    """Return the application.

    Args:
        network: the network.
        secret: the key that signs the cookies: keep it out of the code.
        is_https: whether browsers reach the site by HTTPS only; then the cookie is not sent otherwise.
    """
    live = LiveTimelines(network.backend)
    social = SocialApplication(network)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        await live.close()

    routes = [
        Route("/", social.home),
        Route("/profile", social.profile),
        Route("/entry", social.entry),
        Route("/notifications", social.notifications),
        Route("/status", social.status),
        Route("/events/home", TimelineEndpoints(live, social.home_key).events),
        Route("/events/bell", TimelineEndpoints(live, social.unseen_key).events),
        Route("/sign-in", social.sign_in, methods=["POST"]),
        Route("/sign-out", social.sign_out, methods=["POST"]),
        *social.action_routes(),
        Mount("/static", StaticFiles(directory=_STATIC)),
        asset_route(),
    ]
    session = Middleware(
        SessionMiddleware, secret_key=secret, session_cookie="feedapp", same_site="lax", https_only=is_https
    )
    handlers: dict[Any, Any] = dict.fromkeys((HTTPException, *_STATUSES), social.fail)
    middleware = [Middleware(SecurityHeaders), session]
    return Starlette(routes=routes, middleware=middleware, exception_handlers=handlers, lifespan=lifespan)


def _signed_in(request: Request) -> str:
    name = user_of(request)
    if name is None:
        raise HTTPException(403, "sign in first")
    return name


def _page(html: str) -> Response:
    return HTMLResponse(html, headers=_NO_STORE)
