"""The connection under a stream: its state in the server, and cutting it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from typing import Any


class ClientConnection:
    """One client's connection, for the stream that is written to it. Belongs to the event loop.

    ASGI has no message that cuts a connection, and a server that closes one first waits until the client has read
    everything. uvicorn's ``receive`` and ``send`` are methods of an object that holds the transport. If neither is
    (another server, or a middleware that wraps both), the writing task is cancelled instead, and the server closes the
    connection.
    """

    __slots__ = ("_is_cut", "_server_side", "_task", "_was_kept_alive")

    def __init__(self, receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        sides = (getattr(function, "__self__", None) for function in (receive, send))
        self._server_side = next((side for side in sides if _transport_of(side) is not None), None)
        self._task = asyncio.current_task()
        self._was_kept_alive = False
        self._is_cut = False

    @property
    def is_cut(self) -> bool:
        """Whether :meth:`cut` was called."""
        return self._is_cut

    def note_start(self) -> None:
        """Note that the response has started: a server that shuts down from now on no longer keeps the connection."""
        self._was_kept_alive = self._is_kept_alive()

    def is_asked_to_end(self) -> bool:
        """Return whether the server shuts down and waits for this response; False if that is unknown."""
        return self._was_kept_alive and not self._is_kept_alive()

    def cut(self) -> None:
        """Drop the connection with all bytes that the client has not read. A second call does nothing."""
        if self._is_cut:
            return
        self._is_cut = True
        transport = _transport_of(self._server_side)
        if transport is not None:
            transport.abort()
        elif self._task is not None:
            self._task.cancel()

    def wait_for_every_byte(self) -> None:
        """Make the next write wait until the client's operating system has received all earlier bytes."""
        self._limit_buffer(0)

    def wait_as_usual(self) -> None:
        """Restore the server's default limit for writes."""
        self._limit_buffer(None)

    def _limit_buffer(self, high: int | None) -> None:
        transport = _transport_of(self._server_side)
        if transport is not None and not transport.is_closing():
            transport.set_write_buffer_limits(high=high)

    def _is_kept_alive(self) -> bool:
        return getattr(self._server_side, "keep_alive", False) is True


def is_server_leaving() -> bool:
    """Return whether the uvicorn server of this process was asked to shut down.

    The server is found through its SIGTERM handler, which is also set in a worker, and if the application was imported
    after the handler was set.
    """
    server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return getattr(server, "should_exit", False) is True


def _transport_of(side: object) -> asyncio.WriteTransport | None:
    transport: asyncio.WriteTransport | None = getattr(side, "transport", None)
    # By its methods, because uvloop's transports derive from none of asyncio's classes.
    return transport if hasattr(transport, "abort") and hasattr(transport, "set_write_buffer_limits") else None
