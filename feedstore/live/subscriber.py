"""The stream of one client: a bounded buffer of packets to send."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

from feedstore.live.connection import ClientConnection
from feedstore.live.event import HEARTBEAT, Packet

_BEAT = Packet(HEARTBEAT)


class Subscriber:
    """The packets for a client, in order. Belongs to the event loop.

    At most ``most_waiting`` live events are buffered for a slow client. On overflow the buffer is dropped. Once the
    client reads again, it resumes from its last delivered event as after a reconnect: with all missed events, or a gap.
    """

    def __init__(
        self,
        key: str,
        position: str | None,
        most_waiting: int,
        catch_up: Callable[[Subscriber], None],
        connection: ClientConnection | None = None,
    ) -> None:
        self.key = key
        self.position = position
        self.connection = connection
        self._most_waiting = most_waiting
        self._most_allowed = most_waiting
        self._catch_up = catch_up
        self._packets: deque[Packet] = deque()
        self._waiting = 0
        self._is_lagging = False
        self._is_over = False
        self._woken = asyncio.Event()
        # The head of the response is written first.
        self._writing_since: float | None = time.monotonic()

    def answer(self, packets: list[Packet]) -> None:
        """Send the packets for a joining subscriber; ``most_missed`` bounds them."""
        self._packets.extend(packets)
        self._waiting += sum(packet.events for packet in packets)
        self._most_allowed = self._waiting + self._most_waiting
        self._woken.set()

    def push(self, packet: Packet) -> bool:
        """Send live events; return False if the buffer overflowed and was dropped."""
        if self._waiting + packet.events > self._most_allowed:
            self._packets.clear()
            self._waiting = 0
            self._is_lagging = True
            # A client that waits for the next packet has nothing left to write, and catches up now.
            self._woken.set()
            return False
        self._packets.append(packet)
        self._waiting += packet.events
        self._woken.set()
        return True

    def beat(self) -> None:
        """Send a heartbeat, unless packets wait to be sent."""
        if not self._packets and not self._is_over:
            self._packets.append(_BEAT)
            self._woken.set()

    def end(self, farewell: bytes = b"") -> None:
        """End the stream, with some last bytes after the waiting packets."""
        if not self._is_over:
            self._is_over = True
            self._packets.append(Packet(farewell))
            self._woken.set()

    def is_stuck(self, seconds: float) -> bool:
        """Return whether the write of the last packet has lasted longer than ``seconds``."""
        return self._writing_since is not None and time.monotonic() - self._writing_since > seconds

    def cut(self) -> None:
        """End the stream without sending the waiting packets, and cut the client's connection if there is one."""
        self._is_over = True
        self._packets.clear()
        self._woken.set()
        if self.connection is not None:
            self.connection.cut()

    async def next(self) -> bytes | None:
        """Wait for the next bytes to send; None at the end. The call means that the previous packet was written."""
        self._writing_since = None
        while True:
            if self._packets:
                self._writing_since = time.monotonic()
                return self._taken(self._packets.popleft())
            if self._is_over:
                self._writing_since = time.monotonic()
                return None
            if self._is_lagging:
                self._is_lagging = False
                self._catch_up(self)
            self._woken.clear()
            await self._woken.wait()

    def _taken(self, packet: Packet) -> bytes:
        self._waiting -= packet.events
        if packet.position is not None:
            self.position = packet.position
        return packet.data
