"""A visitor of an ASGI site, which starts the site, sends requests, and stops it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from types import TracebackType
from typing import Any, NamedTuple
from urllib.parse import urlencode

Message = MutableMapping[str, Any]
Site = Callable[[Any, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]


class Answer(NamedTuple):
    """The answer of a site."""

    status: int
    value: Any


class Visitor:
    """A client of a site in this process. The site runs from ``with`` to its end."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._loop = asyncio.new_event_loop()

    def __enter__(self) -> Visitor:
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()
        self._outbox: asyncio.Queue[Message] = asyncio.Queue()
        life = self._site({"type": "lifespan", "asgi": {"version": "3.0"}}, self._inbox.get, self._outbox.put)
        self._life = self._loop.create_task(_finished(life))
        assert self._tell("lifespan.startup") == "lifespan.startup.complete"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._tell("lifespan.shutdown") == "lifespan.shutdown.complete"
        self._loop.run_until_complete(self._life)
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    def get(self, path: str, **query: object) -> Answer:
        """Request a page."""
        return self._ask("GET", path, urlencode(query), b"")

    def post(self, path: str, value: object) -> Answer:
        """Send a value as JSON."""
        return self._ask("POST", path, "", json.dumps(value).encode())

    def _tell(self, what: str) -> str:
        async def exchange() -> str:
            await self._inbox.put({"type": what})
            answer: str = (await self._outbox.get())["type"]
            return answer

        return self._loop.run_until_complete(exchange())

    def _ask(self, method: str, path: str, query: str, body: bytes) -> Answer:
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(b"host", b"localhost"), (b"content-type", b"application/json")],
        }
        return self._loop.run_until_complete(self._exchange(scope, body))

    async def _exchange(self, scope: Message, body: bytes) -> Answer:
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            sent.append(message)

        await self._site(scope, receive, send)
        answer = b"".join(message.get("body", b"") for message in sent)
        return Answer(sent[0]["status"], json.loads(answer) if answer else None)


async def _finished(life: Awaitable[None]) -> None:
    await life
