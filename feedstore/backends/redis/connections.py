"""The connections to one server."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from redis.exceptions import MaxConnectionsError

# In the newer protocol what is published comes in another form.
_FOR_SUBSCRIPTIONS = {"protocol": 2}


class Connections(ABC):
    """Where a request gets a connection that nobody else uses meanwhile."""

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
    def close(self) -> None:
        """Close the connections that nobody uses; the next requests open new ones."""


class PoolConnections(Connections):
    """The connections of a pool of redis-py's: a Cluster's, or one that the caller has made."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    def take(self) -> Any:
        """Return a connection of the pool."""
        return self._pool.get_connection()

    def give_back(self, connection: Any) -> None:
        """Give it back to the pool."""
        self._pool.release(connection)

    def make(self) -> Any:
        """Make one as the pool would, for subscriptions."""
        return self._pool.connection_class(**{**self._pool.connection_kwargs, **_FOR_SUBSCRIPTIONS})

    def close(self) -> None:
        """Close those that nobody uses."""
        self._pool.disconnect(inuse_connections=False)


class OwnConnections(Connections):
    """Up to ``most`` connections, made when all others are in use; a thread waits ``seconds`` for one at most.

    redis-py's pools look at a connection's socket before they hand it out. Here a connection that the server has closed
    is found out by its use, and the request is sent again: this takes a third off the time of a short read.
    """

    def __init__(self, make: Callable[[], Any], most: int, seconds: float) -> None:
        self._make = make
        self._most = most
        self._seconds = seconds
        self._free: deque[Any] = deque()
        self._made = 0
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
        self._free.append(connection)
        if self._waiting:
            with self._condition:
                self._condition.notify()

    def make(self) -> Any:
        """Make one that does not count."""
        return self._make()

    def close(self) -> None:
        """Close those that nobody uses."""
        for connection in list(self._free):
            connection.disconnect()
