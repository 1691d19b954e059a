"""The response that streams a timeline's events."""

from __future__ import annotations

import asyncio

from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from feedstore.live.connection import ClientConnection
from feedstore.live.event import new_retry_hint
from feedstore.live.hub import LiveTimelines, TooManyClients
from feedstore.live.subscriber import Subscriber

TRY_AGAIN = {"retry-after": "5"}
"""The header with the delay before the next request."""
# A proxy that compresses would delay events until a block is full.
_HEADERS = {"cache-control": "no-store, no-transform", "x-accel-buffering": "no"}


class TimelineStream(Response):
    """Streams a timeline until the client disconnects or the stream is ended.

    Each stream has two tasks, one of which waits for the client to disconnect, and no timer of its own: the heartbeat's
    timer cuts the connection of a client that reads nothing.
    """

    media_type = "text/event-stream"
    charset = "utf-8"

    def __init__(self, live: LiveTimelines, key: str, position: str | None) -> None:
        self.background = None
        self.status_code = 200
        self.init_headers(_HEADERS)
        self._live = live
        self._key = key
        self._position = position

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the head, then the events as they arrive; 503 if there are too many clients."""
        connection = ClientConnection(receive, send)
        try:
            subscriber = self._live.subscribe(self._key, self._position, connection)
        except TooManyClients as error:
            refusal = JSONResponse({"detail": str(error)}, status_code=503, headers=TRY_AGAIN)
            await refusal(scope, receive, send)
            return
        gone = asyncio.get_running_loop().create_task(_wait_for_the_end(receive, subscriber))
        try:
            await self._send_all(send, subscriber, connection)
        except asyncio.CancelledError:
            # The heartbeat cancelled the write. A cancellation by the server is raised again.
            if not connection.is_cut:
                raise
        finally:
            self._live.unsubscribe(subscriber)
            gone.cancel()

    async def _send_all(self, send: Send, subscriber: Subscriber, connection: ClientConnection) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        connection.note_start()
        await send(_body(new_retry_hint()))
        while (data := await subscriber.next()) is not None:
            await send(_body(data))
        # A server closes a connection only after the client has read everything; here the heartbeat still bounds that.
        connection.wait_for_every_byte()
        await send(_body(b"", more=False))
        connection.wait_as_usual()


async def _wait_for_the_end(receive: Receive, subscriber: Subscriber) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue
    subscriber.end()


def _body(data: bytes, more: bool = True) -> dict[str, object]:
    return {"type": "http.response.body", "body": data, "more_body": more}
