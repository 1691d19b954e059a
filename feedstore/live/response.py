"""A stream of events as an answer to a request."""

from __future__ import annotations

import asyncio

from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from feedstore.live.connection import ClientConnection
from feedstore.live.event import new_retry_hint
from feedstore.live.hub import LiveTimelines, TooManyClients
from feedstore.live.subscriber import Subscriber

TRY_AGAIN = {"retry-after": "5"}
"""The header that says when to ask again."""
# A proxy that compresses would hold events back until a block of them is full.
_HEADERS = {"cache-control": "no-store, no-transform", "x-accel-buffering": "no"}


class TimelineStream(Response):
    """Streams a timeline until its client goes, or the stream is ended.

    Two tasks a stream, one of them waiting for the client to go, and no timer of its own: the heartbeat's timer cuts
    the connection of a client that takes nothing.
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
        """Answer: the head, then what there is to send as it comes; 503 if there are too many clients."""
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
            # The heartbeat cancelled the write; the server's own cancellation goes on.
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
        # A server closes a connection only when its client has taken everything: here that is still bounded.
        connection.wait_for_every_byte()
        await send(_body(b"", more=False))
        connection.wait_as_usual()


async def _wait_for_the_end(receive: Receive, subscriber: Subscriber) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue
    subscriber.end()


def _body(data: bytes, more: bool = True) -> dict[str, object]:
    return {"type": "http.response.body", "body": data, "more_body": more}
