"""Live tails of event stores by server-sent events, and the search that a page begins with."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from inspect import isawaitable
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from feedstore.errors import EventStoreException, InvalidSearchError, MissingDriverError, StorageError
from feedstore.events import BackendEventStore
from feedstore.events.event import EARLIEST, event_fields
from feedstore.events.layout import COLLECTION
from feedstore.live.endpoints import NO_STORE, Streaming, checked_limit
from feedstore.live.hub import LiveTimelines, TooManyClients
from feedstore.live.response import TRY_AGAIN, TimelineStream
from feedstore.live.saves import EventFilter, SavesNotifier, SavesReader

Permit = Callable[[Request], "bool | Awaitable[bool]"]
"""Returns whether a request may see the events of the store."""


class LiveEvents(LiveTimelines):
    """Streams the events that are saved in a store, by any process, to any number of clients, on one event loop.

    It works as :class:`LiveTimelines`: one subscription and one read of each save serve all clients. Each client
    receives the events that meet the conditions of its :class:`EventFilter`. Events of one save arrive together. If an
    event is replaced before its save is read, the client receives the newer version alone.

    Args:
        store: The event store. Closing it is left to the caller.
        window: The number of newest saves that are compared with those already sent, because a save may commit later
            than another that began after it.
        most_missed: The number of missed saves, each of up to 500 events, that are sent to a client that reconnects.
        options: Further options of :class:`LiveTimelines`, except ``notifier`` and ``render``.
    """

    def __init__(self, store: BackendEventStore, *, window: int = 100, most_missed: int = 100, **options: Any) -> None:
        super().__init__(store.backend, window=window, most_missed=most_missed, **options)
        self._store = store
        self._saves = SavesReader(store.backend, window, most_missed)
        self._reader = self._saves
        self._notifier: Any = SavesNotifier(store.backend.notifier(COLLECTION))

    async def search(self, conditions: EventFilter, limit: int, **arguments: Any) -> dict[str, Any]:
        """Return a page of a search as a document: ``items``, ``next_cursor``, and ``position``.

        A tail with the same conditions continues from ``position``, which only the first page holds. The page is read
        on one of the threads.

        Args:
            conditions: The tags and the pattern.
            limit: The largest number of events.
            arguments: ``ts_start``, ``ts_end``, ``order`` and ``after`` of the store's search.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool(), partial(self._page, conditions, limit, arguments))

    def _page(self, conditions: EventFilter, limit: int, arguments: dict[str, Any]) -> dict[str, Any]:
        position = None
        if arguments.get("after") is None:
            # Before the events: an event that is saved in between is then in both the page and the stream.
            position = self._saves.position(conditions.key())
        search = self._store.search(flags=conditions.flags, match=conditions.match, limit=limit, **arguments)
        items = [event_fields(event) for event in search]
        cursor = search.cursor if len(items) == limit else None
        return {"items": items, "next_cursor": cursor, "position": position}


class EventEndpoints:
    """Starlette endpoints for a search of an event store and for its live tail, for requests that ``permit`` accepts.

    Use the methods as endpoints, or :meth:`routes`.
    """

    def __init__(self, live: LiveEvents, permit: Permit) -> None:
        self._live = live
        self._permit = permit

    def routes(self, prefix: str = "") -> list[Route]:
        """Return ``GET prefix/search`` and ``GET prefix/tail``."""
        return [
            Route(f"{prefix}/search", self.search, methods=["GET"]),
            Route(f"{prefix}/tail", Streaming(self.tail), methods=["GET"], name="tail"),
        ]

    async def search(self, request: Request) -> Response:
        """Answer with a page of events as JSON: ``?from=&to=&tag=&match=&order=&cursor=&limit=``, all optional.

        ``tag`` may be repeated, ``order`` is ``desc`` or ``asc``, and ``limit`` is 25 by default and 100 at most. 403
        unless permitted, 400 for an invalid argument, 503 if the store does not answer.
        """
        conditions = await self._conditions(request)
        given = request.query_params
        try:
            document = await self._live.search(
                conditions,
                checked_limit(given.get("limit")),
                ts_start=given.get("from") or EARLIEST,
                ts_end=given.get("to") or None,
                order=given.get("order", "desc"),
                after=given.get("cursor"),
            )
        except InvalidSearchError as error:
            raise HTTPException(400, str(error)) from error
        except (StorageError, EventStoreException) as error:
            raise HTTPException(503, "the store does not answer; try again", headers=TRY_AGAIN) from error
        except TooManyClients as error:
            raise HTTPException(503, str(error), headers=TRY_AGAIN) from error
        return JSONResponse(document, headers=NO_STORE)

    async def tail(self, request: Request) -> Response:
        """Answer with the stream of the events that are saved after the header ``Last-Event-ID``, or ``?position=``.

        ``?tag=``, which may be repeated, and ``?match=`` filter the events. 403 unless permitted, 400 for an invalid
        pattern, or for any pattern if google-re2 is not installed, 503 if there are too many clients.
        """
        conditions = await self._conditions(request)
        if request.method == "HEAD":
            return Response(media_type=TimelineStream.media_type, headers=NO_STORE)
        position = request.headers.get("last-event-id") or request.query_params.get("position") or None
        return TimelineStream(self._live, conditions.key(), position)

    async def _conditions(self, request: Request) -> EventFilter:
        """Return the conditions of a permitted request."""
        permitted = self._permit(request)
        if not (await permitted if isawaitable(permitted) else permitted):
            raise HTTPException(403, "this request is not permitted to see the events")
        tags = dict.fromkeys(request.query_params.getlist("tag"))
        conditions = EventFilter(tuple(sorted(tags)), request.query_params.get("match") or None)
        try:
            conditions.query()
        except (InvalidSearchError, MissingDriverError) as error:
            raise HTTPException(400, str(error)) from error
        return conditions
