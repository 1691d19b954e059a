"""The two endpoints of a page: one for pages of a timeline, one for its stream."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from inspect import isawaitable

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from feedstore.errors import InvalidValueError, StorageError
from feedstore.live.hub import LiveTimelines, TooManyClients
from feedstore.live.response import TRY_AGAIN, TimelineStream
from feedstore.storage.checks import check_key

Authorize = Callable[[Request], "str | Awaitable[str | None] | None"]
"""Returns the key of the timeline that a request may see, or None."""

_DEFAULT_LIMIT = 25
_HIGHEST_LIMIT = 100
NO_STORE = {"cache-control": "no-store"}


class TimelineEndpoints:
    """Starlette endpoints for the timeline that ``authorize`` returns for a request.

    No parameter of a request names a timeline, so a request reaches no other one. Use the methods as endpoints, or
    :meth:`routes`.
    """

    def __init__(self, live: LiveTimelines, authorize: Authorize) -> None:
        self._live = live
        self._authorize = authorize

    def routes(self, prefix: str = "") -> list[Route]:
        """Return ``GET prefix/timeline`` and ``GET prefix/events``."""
        return [
            Route(f"{prefix}/timeline", self.timeline, methods=["GET"]),
            Route(f"{prefix}/events", Streaming(self.events), methods=["GET"], name="events"),
        ]

    async def timeline(self, request: Request) -> Response:
        """Answer with a page as JSON: ``?cursor=`` (none for the first) and ``?limit=`` (25; up to 100).

        403 unless authorized, 400 for an invalid cursor or limit, 503 if the store does not answer.
        """
        key = await self._key(request)
        limit = checked_limit(request.query_params.get("limit"))
        try:
            page = await self._live.read_page(key, limit, request.query_params.get("cursor"))
        except InvalidValueError as error:
            raise HTTPException(400, str(error)) from error
        except StorageError as error:
            raise HTTPException(503, "the store does not answer; try again", headers=TRY_AGAIN) from error
        except TooManyClients as error:
            raise HTTPException(503, str(error), headers=TRY_AGAIN) from error
        return JSONResponse(page, headers=NO_STORE)

    async def events(self, request: Request) -> Response:
        """Answer with the stream after the event in the header ``Last-Event-ID``, or else in ``?position=``.

        403 unless authorized, 503 if there are too many clients.
        """
        key = await self._key(request)
        if request.method == "HEAD":
            return Response(media_type=TimelineStream.media_type, headers=NO_STORE)
        position = request.headers.get("last-event-id") or request.query_params.get("position") or None
        return TimelineStream(self._live, key, position)

    async def _key(self, request: Request) -> str:
        authorized = self._authorize(request)
        key = await authorized if isawaitable(authorized) else authorized
        if key is None:
            raise HTTPException(403, "this request is not authorized to see a timeline")
        try:
            return check_key(key)
        except InvalidValueError as error:
            raise HTTPException(400, str(error)) from error


class Streaming:
    """An endpoint that streams, as an application of its own.

    Around a function, Starlette wraps three coroutines and a request for each open stream. With a thousand streams,
    these are a sixth of all objects that a garbage collection visits.
    """

    def __init__(self, endpoint: Callable[[Request], Awaitable[Response]]) -> None:
        self._endpoint = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        response = await self._endpoint(Request(scope, receive))
        await response(scope, receive, send)


def checked_limit(text: str | None) -> int:
    """Return the limit of a page in a query, 25 by default. Raises an exception with the status 400."""
    if text is None:
        return _DEFAULT_LIMIT
    if not (text.isascii() and text.isdecimal() and len(text) < 4 and 1 <= int(text) <= _HIGHEST_LIMIT):
        raise HTTPException(400, f"limit must be a whole number from 1 to {_HIGHEST_LIMIT}")
    return int(text)
