"""A connection pool that an exception in the middle of any step leaves whole."""

from __future__ import annotations

import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from redis.exceptions import MaxConnectionsError

from feedstore.backends.redis.connections import Connections

_LONGEST_SLEEP_SECONDS = 0.05


class OwnConnections(Connections):
    """A pool of up to ``most`` connections; a thread waits up to ``seconds`` for one.

    No step has to be undone, since a signal handler may raise between any two. Nothing counts the connections in use:
    a connection has a place for as long as the object lives, so one that an interrupted call has lost frees its place
    when Python drops the object. A waiting thread that misses its call looks again after 0.05 seconds.

    The pool does not check a connection before it hands it out, as redis-py's pools do. Its use shows whether the
    server has closed it, and the request is sent again: this takes a third off the time of a short read.
    """

    def __init__(
        self, make: Callable[[], Any], most: int, seconds: float, when_connected: Callable[[], object]
    ) -> None:
        super().__init__(when_connected)
        self._make = make
        self._most = most
        self._seconds = seconds
        self._free: deque[Any] = deque()
        self._places: list[weakref.ref[Any]] = []
        # Only a built-in lock in a `with` statement stays free of interrupts: Python runs no handler on the way in.
        self._placing = threading.Lock()
        self._calls: deque[threading.Lock] = deque()
        self._is_closed = False

    def take(self) -> Any:
        """Return the connection that was used last, or a new one."""
        try:
            return self._free.pop()
        except IndexError:
            connection = self._made()
            return self._waited_for() if connection is None else connection

    def _made(self) -> Any:
        """Return a new connection, or None if every place is taken."""
        if self._taken() >= self._most:
            return None
        # It is made outside the lock: with Sentinel, this asks the network for the address.
        connection = self._make()
        self._follow(connection)
        with self._placing:
            self._places = [place for place in self._places if place() is not None]
            if len(self._places) >= self._most:
                return None
            self._places.append(weakref.ref(connection))
        return connection

    def _taken(self) -> int:
        return sum(place() is not None for place in self._places)

    def _waited_for(self) -> Any:
        deadline = time.monotonic() + self._seconds
        while True:
            call = threading.Lock()
            call.acquire()
            self._calls.append(call)
            try:
                # A connection that came back before the call was registered is here.
                with suppress(IndexError):
                    return self._free.pop()
                connection = self._made()
                if connection is not None:
                    return connection
                left = deadline - time.monotonic()
                if left <= 0:
                    raise MaxConnectionsError(f"all {self._most} connections were in use for {self._seconds:g} seconds")
                call.acquire(timeout=min(left, _LONGEST_SLEEP_SECONDS))
            finally:
                with suppress(ValueError):
                    self._calls.remove(call)

    def give_back(self, connection: Any) -> None:
        """Hand it to the next request."""
        self._free.append(connection)
        if self._calls:
            self._call()
        if self._is_closed:
            self.renew()

    def discard(self, connection: Any) -> None:
        """Close it; it is never used again."""
        connection.disconnect()
        with self._placing:
            self._places = [place for place in self._places if place() not in (None, connection)]
        self._call()

    def _call(self) -> None:
        """Wake the thread that has waited longest."""
        with suppress(IndexError):
            self._calls.popleft().release()

    def make(self) -> Any:
        """Make one that takes no place."""
        return self._make()

    def renew(self) -> None:
        """Close the idle ones, each while no other thread can take it."""
        for _ in range(len(self._free)):
            try:
                connection = self._free.popleft()
            except IndexError:
                return
            self.discard(connection)

    def close(self) -> None:
        """Close the idle ones, and the others when they come back."""
        self._is_closed = True
        self.renew()
