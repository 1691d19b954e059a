"""The connections to one server."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from weakref import WeakSet

from redis.exceptions import MaxConnectionsError

# In the newer protocol what is published comes in another form.
_FOR_SUBSCRIPTIONS = {"protocol": 2}


class Connections(ABC):
    """Where a request gets a connection that nobody else uses meanwhile.

    ``when_connected`` is called whenever one of them was connected: another server may answer behind it than before, or
    one that has lost its data.
    """

    def __init__(self, when_connected: Callable[[], object]) -> None:
        self._when_connected = when_connected

    def _follow(self, connection: Any) -> None:
        """Hear of each time that a connection is connected."""
        connection.register_connect_callback(self._note_connected)

    def _note_connected(self, connection: Any) -> None:
        self._when_connected()

    @abstractmethod
    def take(self) -> Any:
        """Return a connection; raises the driver's ConnectionError if there is none to be had."""

    @abstractmethod
    def give_back(self, connection: Any) -> None:
        """Let others have what :meth:`take` returned."""

    @abstractmethod
    def make(self) -> Any:
        """Return a connection that is the caller's alone, not connected yet."""

    @abstractmethod
    def renew(self) -> None:
        """Close the connections that nobody uses; the next requests open new ones."""

    @abstractmethod
    def close(self) -> None:
        """Close the connections that nobody uses, and those that others use as soon as they are given back."""


class PoolConnections(Connections):
    """The connections of a pool of redis-py's: a Cluster's, or one that the caller has made."""

    def __init__(self, pool: Any, when_connected: Callable[[], object]) -> None:
        super().__init__(when_connected)
        self._pool = pool
        self._followed: WeakSet[Any] = WeakSet()

    def take(self) -> Any:
        """Return a connection of the pool, which connects anew whatever the server has closed, and does not say so."""
        connection = self._pool.get_connection()
        if connection not in self._followed:
            self._follow(connection)
            self._followed.add(connection)
            self._when_connected()
        return connection

    def give_back(self, connection: Any) -> None:
        """Give it back to the pool."""
        self._pool.release(connection)

    def make(self) -> Any:
        """Make one as the pool would, for subscriptions."""
        return self._pool.connection_class(**{**self._pool.connection_kwargs, **_FOR_SUBSCRIPTIONS})

    def renew(self) -> None:
        """Close those that nobody uses."""
        self._pool.disconnect(inuse_connections=False)

    def close(self) -> None:
        """Leave them: they are closed by whoever made the pool."""


class OwnConnections(Connections):
    """Up to ``most`` connections, made when all others are in use; a thread waits ``seconds`` for one at most.

    redis-py's pools look at a connection's socket before they hand it out. Here a connection that the server has closed
    is found out by its use, and the request is sent again: this takes a third off the time of a short read.
    """

    def __init__(
        self, make: Callable[[], Any], most: int, seconds: float, when_connected: Callable[[], object]
    ) -> None:
        super().__init__(when_connected)
        self._make = make
        self._most = most
        self._seconds = seconds
        self._free: deque[Any] = deque()
        self._made = 0
        self._is_closed = False
        self._waiting = 0
        self._condition = threading.Condition()

    def take(self) -> Any:
        """Return the connection that was used last, or a new one."""
        try:
            return self._free.pop()
        except IndexError:
            return self._made_or_waited_for()

    def _made_or_waited_for(self) -> Any:
        with self._condition:
            if self._made < self._most:
                connection = self._make()
                self._follow(connection)
                self._made += 1
                return connection
            self._waiting += 1
            try:
                return self._waited_for()
            finally:
                self._waiting -= 1

    def _waited_for(self) -> Any:
        deadline = time.monotonic() + self._seconds
        while True:
            # Whoever gave one back before seeing that somebody waits has put it here; others may take it first.
            with suppress(IndexError):
                return self._free.pop()
            if not self._condition.wait(max(0.0, deadline - time.monotonic())):
                raise MaxConnectionsError(f"all {self._most} connections were in use for {self._seconds:g} seconds")

    def give_back(self, connection: Any) -> None:
        """Let others have it; a connection that was disconnected connects again at its next use."""
        self._put(connection)
        if self._is_closed:
            self.renew()

    def _put(self, connection: Any) -> None:
        self._free.append(connection)
        if self._waiting:
            with self._condition:
                self._condition.notify()

    def make(self) -> Any:
        """Make one that does not count."""
        return self._make()

    def renew(self) -> None:
        """Close those that nobody uses, each while nobody can take it."""
        for _ in range(len(self._free)):
            try:
                connection = self._free.popleft()
            except IndexError:
                return
            connection.disconnect()
            self._put(connection)

    def close(self) -> None:
        """Close those that nobody uses, and the others when they are given back."""
        self._is_closed = True
        self.renew()
