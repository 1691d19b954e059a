"""Connections, each a listener with its queue; the connections of a channel, and the factories that make them."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from typing import Any
from uuid import uuid4

from feedstore.channels.durable_queue import DurableQueue
from feedstore.channels.listener import MessageQueueListener, given_or_new
from feedstore.channels.queue import InMemoryQueue, Queue
from feedstore.errors import InvalidListenerException, InvalidTypeError
from feedstore.shown import shown
from feedstore.storage.backend import Backend, checked_backend


class Connection:
    """A listener and the queue of its messages.

    ``connection_id`` is a str of 1 to 1,024 bytes in UTF-8; by default it is a random UUID.
    """

    def __init__(self, listener: MessageQueueListener, queue: Queue, connection_id: str | None = None) -> None:
        self._listener = listener
        self._queue = queue
        self._id = given_or_new(connection_id, "connection id")

    @property
    def listener(self) -> MessageQueueListener:
        """The listener that receives the messages."""
        return self._listener

    @property
    def queue(self) -> Queue:
        """The queue of the messages."""
        return self._queue

    @property
    def id(self) -> str:
        """The connection's id."""
        return self._id

    def __repr__(self) -> str:
        return f"Connection({shown(self.listener)}, {shown(self.queue)}, {shown(self.id)})"


class ConnectionTable:
    """Connections by the id of their listener, in the order of their registration. Safe to share between threads."""

    def __init__(self, channel_id: str) -> None:
        self._channel_id = channel_id
        self._lock = threading.Lock()
        self._connections: dict[str, Connection] = {}

    def add(self, connection: Connection) -> None:
        """Add a connection, or replace the one of the same listener."""
        if not isinstance(connection, Connection):
            raise InvalidTypeError(f"connection must be a Connection, not {shown(connection)}")
        with self._lock:
            self._connections[connection.listener.id] = connection

    def get(self, listener_id: str) -> Connection:
        """Return the listener's connection, or raise :class:`InvalidListenerException`."""
        with self._lock:
            found = self._connections.get(listener_id)
        if found is None:
            raise self._unknown(listener_id)
        return found

    def remove(self, listener_id: str) -> Connection:
        """Remove the listener's connection and return it, or raise :class:`InvalidListenerException`."""
        with self._lock:
            found = self._connections.pop(listener_id, None)
        if found is None:
            raise self._unknown(listener_id)
        return found

    def all(self) -> list[Connection]:
        """Return the connections at this moment."""
        with self._lock:
            return list(self._connections.values())

    def _unknown(self, listener_id: str) -> InvalidListenerException:
        return InvalidListenerException(f"the channel {shown(self._channel_id)} has no listener {shown(listener_id)}")


class ConnectionsFactory(ABC):
    """The factory of a channel's connections, which gives all of them queues of one kind."""

    @abstractmethod
    def create(self, listener: MessageQueueListener | None = None) -> Connection:
        """Return a new connection for ``listener``, or for a new listener if none is given."""


class InMemoryConnectionsFactory(ConnectionsFactory):
    """A factory of connections whose queues are in memory and end with the process.

    The options are those of :class:`InMemoryQueue`.
    """

    def __init__(self, **queue_options: Any) -> None:
        InMemoryQueue(**queue_options)
        self._queue_options = queue_options

    def create(self, listener: MessageQueueListener | None = None) -> Connection:
        """Costs nothing."""
        return Connection(_listener(listener), InMemoryQueue(**self._queue_options))


class DurableConnectionsFactory(ConnectionsFactory):
    """A factory of connections whose queues are in a backend, each named ``connection:<connection id>``.

    The options are those of ``backend.queue``: ``visibility_timeout``, ``max_length``, ``when_full``.
    """

    def __init__(self, backend: Backend, **queue_options: Any) -> None:
        self.backend = checked_backend(backend)
        self.backend.queue(**queue_options)
        self._queue_options = queue_options

    def create(self, listener: MessageQueueListener | None = None) -> Connection:
        """Costs no round trip; nothing is stored until a message is pushed."""
        connection_id = str(uuid4())
        queue = DurableQueue(self.backend.queue(f"connection:{connection_id}", **self._queue_options))
        return Connection(_listener(listener), queue, connection_id)


def _listener(listener: MessageQueueListener | None) -> MessageQueueListener:
    return MessageQueueListener() if listener is None else listener
