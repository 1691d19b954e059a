"""The connections to one server."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any
from weakref import WeakSet

from redis.exceptions import RedisError

# The newer protocol has another form for published messages.
_FOR_SUBSCRIPTIONS = {"protocol": 2}


class Connections(ABC):
    """The source of connections, each of which one request uses at a time.

    A caller ends its use of a connection with :meth:`give_back` if it has read all answers, and with :meth:`discard`
    otherwise. ``when_connected`` is called after each connect, because another server may answer at the same address,
    or the same server without its data.
    """

    def __init__(self, when_connected: Callable[[], object]) -> None:
        self._when_connected = when_connected

    def _register_callback(self, connection: Any) -> None:
        """Call ``when_connected`` each time that a connection connects."""
        connection.register_connect_callback(self._note_connected)

    def _note_connected(self, connection: Any) -> None:
        self._when_connected()

    @abstractmethod
    def take(self) -> Any:
        """Return a connection. It raises the driver's ConnectionError if none becomes free in time."""

    @abstractmethod
    def give_back(self, connection: Any) -> None:
        """Put a connection back after all its answers were read."""

    @abstractmethod
    def discard(self, connection: Any) -> None:
        """Close a connection that may still receive answers, and free its place."""

    @abstractmethod
    def make(self) -> Any:
        """Return an unconnected connection for subscriptions, which only the caller uses."""

    @abstractmethod
    def renew(self) -> None:
        """Close the idle connections. Later requests open new ones."""

    @abstractmethod
    def close(self) -> None:
        """Close the idle connections, and each other one when it is put back."""


class PoolConnections(Connections):
    """The connections in the redis-py pool of the caller's client."""

    def __init__(self, pool: Any, when_connected: Callable[[], object]) -> None:
        super().__init__(when_connected)
        self._pool = pool
        self._registered: WeakSet[Any] = WeakSet()

    def take(self) -> Any:
        """Return a connection of the pool. The pool reconnects a closed one by itself."""
        try:
            connection = self._pool.get_connection()
        except RedisError:
            raise
        except BaseException:
            # If a signal handler raised during the handshake, redis-py keeps that connection: its next user would read
            # the answer of another request, or work on the wrong database.
            self.renew()
            raise
        if connection not in self._registered:
            self._register_callback(connection)
            self._registered.add(connection)
            self._when_connected()
        return connection

    def give_back(self, connection: Any) -> None:
        """Release the connection to the pool."""
        self._pool.release(connection)

    def discard(self, connection: Any) -> None:
        """Close the connection and release it. redis-py connects it again at its next use."""
        connection.disconnect()
        self._pool.release(connection)

    def make(self) -> Any:
        """Return a new connection with the arguments of the pool."""
        return self._pool.connection_class(**{**self._pool.connection_kwargs, **_FOR_SUBSCRIPTIONS})

    def renew(self) -> None:
        """Close the idle connections."""
        self._pool.disconnect(inuse_connections=False)

    def close(self) -> None:
        """Do nothing: the connections belong to the caller's client."""
