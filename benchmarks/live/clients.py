"""Many clients in one process, which record the delays of events."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Sequence

_SENT = re.compile(rb'"sent":\s?([\d.]+)')
_AT_ONCE = 200
_ADDRESSES = 50
_SECONDS = 120


class Client(asyncio.Protocol):
    """One stream. ``events`` is the number of received events, ``delays`` the seconds of those with a send time."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self.events = 0
        self.last_id = b""
        self.delays: list[float] = []
        self.begun = time.monotonic()
        self.last = 0.0
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the request."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Count the events of a chunk."""
        now = time.monotonic()
        count = data.count(b"event: ")
        if count:
            self.events += count
            self.last = now
            self.delays += [now - float(sent) for sent in _SENT.findall(data)]


async def connect(port: int, paths: Sequence[str], headers: str = "") -> list[Client]:
    """Open a stream for each path, from several addresses, and return the streams after each has its first event."""
    clients: list[Client] = []
    for start in range(0, len(paths), _AT_ONCE):
        some = enumerate(paths[start : start + _AT_ONCE], start)
        clients += await asyncio.gather(*(_connect_one(port, path, headers, number) for number, path in some))
        await until(lambda: all(client.events for client in clients[-_AT_ONCE:]))  # noqa: B023 # awaited here
    return clients


async def _connect_one(port: int, path: str, headers: str, number: int) -> Client:
    request = f"GET {path} HTTP/1.1\r\nhost: benchmark\r\n{headers}\r\n".encode()
    # One address has some 28,000 ports.
    local = (f"127.0.0.{2 + number % _ADDRESSES}", 0)
    _, client = await asyncio.get_running_loop().create_connection(
        lambda: Client(request), "127.0.0.1", port, local_addr=local
    )
    return client


async def until(condition: Callable[[], bool]) -> None:
    """Wait until a condition is true."""
    deadline = time.monotonic() + _SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the streams did not receive all events")
        await asyncio.sleep(0.005)


async def fetch(port: int, path: str) -> bytes:
    """Send a request, and return the body of the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nhost: benchmark\r\nconnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    return answer.partition(b"\r\n\r\n")[2]


def close(clients: Sequence[Client]) -> None:
    """Cut all streams."""
    for client in clients:
        if client.transport is not None:
            client.transport.abort()
