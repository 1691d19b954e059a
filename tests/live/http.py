"""An HTTP client over a socket of its own, which reads streams as they arrive."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, NamedTuple

from live.events import Event, EventParser

_BYTES = 2**16
_SECONDS = 60.0


class Answer(NamedTuple):
    """A complete answer of a server."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def value(self) -> Any:
        """The body, which is JSON."""
        return json.loads(self.body)


def ask(
    port: int, path: str, headers: Mapping[str, str] | None = None, method: str = "GET", body: bytes = b""
) -> Answer:
    """Send one request and return its answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=_SECONDS) as connection:
        connection.sendall(_request(method, path, {**(headers or {}), "connection": "close"}, body))
        received = b""
        while part := connection.recv(_BYTES):
            received += part
    status, fields, rest = _head(received)
    return Answer(status, fields, rest)


class Stream:
    """A request for a stream, as a context manager. ``events`` are all received events."""

    def __init__(
        self, port: int, path: str, headers: Mapping[str, str] | None = None, receive_buffer: int | None = None
    ) -> None:
        self.events: list[Event] = []
        self.parser = EventParser()
        self.is_over = False
        self._socket = socket.socket()
        if receive_buffer is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._socket.settimeout(_SECONDS)
        self._socket.connect(("127.0.0.1", port))
        self._socket.sendall(_request("GET", path, {"accept": "text/event-stream", **(headers or {})}, b""))
        self._rest = b""
        while b"\r\n\r\n" not in self._rest:
            self._rest += self._socket.recv(_BYTES)
        self.status, self.headers, self._rest = _head(self._rest)
        self._decode()

    def __enter__(self) -> Stream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._socket.close()

    @property
    def retry(self) -> int | None:
        """The hint of the time to reconnect."""
        return self.parser.retry

    def named(self, name: str) -> list[Event]:
        """Return the events of one name."""
        return [event for event in self.events if event.name == name]

    def wait_for_bytes(self) -> None:
        """Wait until unread bytes have arrived."""
        self._socket.settimeout(_SECONDS)
        self._socket.recv(1, socket.MSG_PEEK)

    def read_until(self, condition: Callable[[], object], what: str, seconds: float = _SECONDS) -> None:
        """Receive until ``condition()`` is true. It raises ``TimeoutError`` at the deadline and at the end."""
        deadline = time.monotonic() + seconds
        while not condition():
            self._socket.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                part = self._socket.recv(_BYTES)
            except (TimeoutError, ConnectionError) as error:
                raise TimeoutError(f"{what} did not come; {self.events[-3:]} did") from error
            if not part:
                raise TimeoutError(f"the stream ended before {what}; {self.events[-3:]} came")
            self._rest += part
            self._decode()

    def read_until_event(self, name: str, count: int = 1) -> list[Event]:
        """Receive until there are ``count`` events of that name, and return them."""
        self.read_until(lambda: len(self.named(name)) >= count, f"{count} of {name}")
        return self.named(name)

    def read_to_the_end(self) -> None:
        """Receive until the server ends the stream."""
        self.read_until(lambda: self.is_over, "the end")

    def _decode(self) -> None:
        """Parse the chunks that are complete."""
        while b"\r\n" in self._rest and not self.is_over:
            size, _, rest = self._rest.partition(b"\r\n")
            length = int(size, 16)
            if len(rest) < length + 2:
                return
            self.events += self.parser.feed(rest[:length])
            self._rest = rest[length + 2 :]
            self.is_over = length == 0


def _request(method: str, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
    fields = {"host": "127.0.0.1", **headers}
    if body:
        fields["content-length"] = str(len(body))
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    return "\r\n".join(lines).encode() + body


def _head(received: bytes) -> tuple[int, dict[str, str], bytes]:
    head, _, rest = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    fields = (line.partition(": ") for line in lines)
    return int(first.split()[1]), {name.lower(): value for name, _, value in fields}, rest
