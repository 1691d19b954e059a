"""One client's stream: what waits to be sent to it, within a bound."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

from feedstore.live.connection import ClientConnection
from feedstore.live.event import HEARTBEAT, Packet

_BEAT = Packet(HEARTBEAT)


class Subscriber:
    """What a client is to be sent, in order. Belongs to the event loop.

    A client that takes less than comes holds back at most ``most_waiting`` live events. Then they are dropped, and once
    it takes again, it goes on from the last event that it took, as one that was cut: with all that it missed, or a gap.
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
        self._is_behind = False
        self._is_over = False
        self._woken = asyncio.Event()
        # The head of the response is written first.
        self._writing_since: float | None = time.monotonic()

    def answer(self, packets: list[Packet]) -> None:
        """Send what one who joins gets; bounded by what is sent again at most."""
        self._packets.extend(packets)
        self._waiting += sum(packet.events for packet in packets)
        self._most_allowed = self._waiting + self._most_waiting
        self._woken.set()

    def push(self, packet: Packet) -> bool:
        """Send news; False if too much waits already, and everything that waits was dropped."""
        if self._waiting + packet.events > self._most_allowed:
            self._packets.clear()
            self._waiting = 0
            self._is_behind = True
            # One that waits already has nothing to finish first: it catches up now.
            self._woken.set()
            return False
        self._packets.append(packet)
        self._waiting += packet.events
        self._woken.set()
        return True

    def beat(self) -> None:
        """Send a heartbeat, unless something waits to be sent anyway."""
        if not self._packets and not self._is_over:
            self._packets.append(_BEAT)
            self._woken.set()

    def end(self, farewell: bytes = b"") -> None:
        """End the stream, with some last bytes after what waits already."""
        if not self._is_over:
            self._is_over = True
            self._packets.append(Packet(farewell))
            self._woken.set()

    def is_stuck(self, seconds: float) -> bool:
        """Return whether the packet that was taken last is being written for longer than ``seconds``."""
        return self._writing_since is not None and time.monotonic() - self._writing_since > seconds

    def cut(self) -> None:
        """End the stream without sending what waits, and drop the client's connection if there is one."""
        self._is_over = True
        self._packets.clear()
        self._woken.set()
        if self.connection is not None:
            self.connection.cut()

    async def next(self) -> bytes | None:
        """Wait for what is to be sent next; None at the end. The call says that the packet before was written."""
        self._writing_since = None
        while True:
            if self._packets:
                self._writing_since = time.monotonic()
                return self._taken(self._packets.popleft())
            if self._is_over:
                self._writing_since = time.monotonic()
                return None
            if self._is_behind:
                self._is_behind = False
                self._catch_up(self)
            self._woken.clear()
            await self._woken.wait()

    def _taken(self, packet: Packet) -> bytes:
        self._waiting -= packet.events
        if packet.position is not None:
            self.position = packet.position
        return packet.data
