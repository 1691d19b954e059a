"""The measured sides, each an application for a process of its own."""

from __future__ import annotations

import gc
import json
import resource
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import uvicorn
from eric_sse.message import Message
from eric_sse.prefabs import SSEChannel
from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from feedstore import Activity, connect
from feedstore.live import LiveTimelines, TimelineEndpoints
from feedstore.live.event import new_retry_hint

_TEXT = "A view of the lake, with no other visitor there to see it all this morning!"


class Side(ABC):
    """A server of streams, which sends entries to them on request."""

    @abstractmethod
    def routes(self) -> list[Route]:
        """Return ``/events`` and the other routes of the side."""

    @abstractmethod
    def tell(self, keys: list[str], count: int) -> None:
        """Send ``count`` entries to the streams of timelines, each with its start time."""


class Product(Side):
    """feedstore in memory."""

    def __init__(self, heartbeat_seconds: float) -> None:
        backend = connect("memory://")
        self._activities = backend.activity_storage()
        self._timelines = backend.timeline_storage(notifier=backend.notifier())
        self.live = LiveTimelines(backend, heartbeat_seconds=heartbeat_seconds)

    def routes(self) -> list[Route]:
        return TimelineEndpoints(self.live, _asked).routes()

    def tell(self, keys: list[str], count: int) -> None:
        activities = [
            Activity("ann", "comment", number, extra_context={"text": _TEXT, "sent": time.monotonic()})
            for number in range(count)
        ]
        self._activities.add_many(activities)
        self._timelines.add_to_many(keys, activities, max_length=5_000)


class ProductOverSseStarlette(Product):
    """The same with an ``EventSourceResponse`` and a ping for each stream, a rejected design."""

    def __init__(self, heartbeat_seconds: float) -> None:
        super().__init__(heartbeat_seconds=3_600)
        self._ping = heartbeat_seconds

    def routes(self) -> list[Route]:
        return [Route("/events", self._events)]

    async def _events(self, request: Request) -> Response:
        return EventSourceResponse(self._stream(_asked(request)), ping=self._ping)

    async def _stream(self, key: str) -> AsyncIterator[bytes]:
        subscriber = self.live.subscribe(key, None)
        try:
            yield new_retry_hint()
            while (data := await subscriber.next()) is not None:
                yield data
        finally:
            self.live.unsubscribe(subscriber)


class Ancestor(Side):
    """eric-sse: a channel whose streams poll their queues every ``delay`` seconds."""

    def __init__(self, heartbeat_seconds: float, delay: float) -> None:
        self._heartbeat_seconds = heartbeat_seconds
        self._channel = SSEChannel(stream_delay_seconds=delay)

    def routes(self) -> list[Route]:
        return [Route("/events", self._events)]

    def tell(self, keys: list[str], count: int) -> None:
        for number in range(count):
            payload = {"id": number, "actor": "ann", "text": _TEXT, "sent": time.monotonic()}
            self._channel.broadcast(Message("activity", json.dumps(payload)))

    async def _events(self, request: Request) -> Response:
        listener = self._channel.add_listener()
        listener.start()
        # It keeps only a queue for each listener: the missed messages are those that wait in the queue.
        for number in range(int(request.query_params.get("waiting", 0))):
            self._channel.dispatch(listener.id, Message("activity", json.dumps({"id": number, "text": _TEXT})))
        self._channel.dispatch(listener.id, Message("ready", "{}"))
        return EventSourceResponse(self._channel.message_stream(listener), ping=self._heartbeat_seconds)


def _collecting_less_often(heartbeat_seconds: float) -> Side:
    """The product, in a process whose garbage collector runs after 10,000 new objects instead of 700."""
    gc.set_threshold(10_000)
    return Product(heartbeat_seconds)


SIDES: dict[str, Callable[[float], Side]] = {
    "feedstore": Product,
    "feedstore over EventSourceResponse": ProductOverSseStarlette,
    "feedstore, collecting less often": _collecting_less_often,
    "eric-sse, delay 0": lambda heartbeat_seconds: Ancestor(heartbeat_seconds, 0),
    "eric-sse, delay 1 s": lambda heartbeat_seconds: Ancestor(heartbeat_seconds, 1),
}


def new_application(side: Side) -> Starlette:
    """Return the application of a side, with the routes that control it."""

    def tell(request: Request) -> Response:
        query = request.query_params
        first, last = int(query["first"]), int(query["last"])
        side.tell([f"feed:{number}" for number in range(first, last)], int(query["count"]))
        return JSONResponse({})

    def usage(request: Request) -> Response:
        seconds = resource.getrusage(resource.RUSAGE_SELF)
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return JSONResponse({"seconds": seconds.ru_utime + seconds.ru_stime, "bytes": pages * resource.getpagesize()})

    return Starlette(routes=[*side.routes(), Route("/tell", tell), Route("/usage", usage)])


def main(name: str, heartbeat_seconds: float, port: int) -> None:
    """Serve one side."""
    allow_many_files()
    application = new_application(SIDES[name](heartbeat_seconds))
    uvicorn.run(application, port=port, log_level="error", backlog=16_384, timeout_graceful_shutdown=1)


def allow_many_files() -> int:
    """Raise the limit of open files to its maximum, and return it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


def _asked(request: Request) -> str:
    return f"feed:{request.query_params['who']}"


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]))
