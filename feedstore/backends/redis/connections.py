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

    A caller ends its use of a connection with :meth:`give_back` after it has read all answers, and with :meth:`discard`
    otherwise. ``when_connected`` is called after each connect: another server may answer on the same address, or the
    same one without its data.
    """

    def __init__(self, when_connected: Callable[[], object]) -> None:
        self._when_connected = when_connected

    def _follow(self, connection: Any) -> None:
        """Have ``when_connected`` called each time that a connection connects."""
        connection.register_connect_callback(self._note_connected)

    def _note_connected(self, connection: Any) -> None:
        self._when_connected()

    @abstractmethod
    def take(self) -> Any:
        """Return a connection. Raises the driver's ConnectionError if none can be had."""

    @abstractmethod
    def give_back(self, connection: Any) -> None:
        """Return a connection to the pool whose answers were all read."""

    @abstractmethod
    def discard(self, connection: Any) -> None:
        """Close a connection that may still have answers under way, and give its place back."""

    @abstractmethod
    def make(self) -> Any:
        """Return a connection for subscriptions, which is the caller's alone and not connected yet."""

    @abstractmethod
    def renew(self) -> None:
        """Close the idle connections; the next requests open new ones."""

    @abstractmethod
    def close(self) -> None:
        """Close the idle connections, and each of the others when it comes back."""


class PoolConnections(Connections):
    """The connections of redis-py's pool in a client that the caller has made."""

    def __init__(self, pool: Any, when_connected: Callable[[], object]) -> None:
        super().__init__(when_connected)
        self._pool = pool
        self._followed: WeakSet[Any] = WeakSet()

    def take(self) -> Any:
        """Return a connection of the pool, which reconnects a closed one without notice."""
        try:
            connection = self._pool.get_connection()
        except RedisError:
            raise
        except BaseException:
            # A signal handler may have raised in the middle of the handshake, and redis-py keeps that connection: its
            # next user would find another's answer, or no database selected.
            self.renew()
            raise
        if connection not in self._followed:
            self._follow(connection)
            self._followed.add(connection)
            self._when_connected()
        return connection

    def give_back(self, connection: Any) -> None:
        """Give it back to the pool."""
        self._pool.release(connection)

    def discard(self, connection: Any) -> None:
        """Close it and give it back; redis-py connects it again at its next use."""
        connection.disconnect()
        self._pool.release(connection)

    def make(self) -> Any:
        """Make one with the pool's arguments."""
        return self._pool.connection_class(**{**self._pool.connection_kwargs, **_FOR_SUBSCRIPTIONS})

    def renew(self) -> None:
        """Close the idle ones."""
        self._pool.disconnect(inuse_connections=False)

    def close(self) -> None:
        """Leave them open: the caller, who made the pool, closes them."""
