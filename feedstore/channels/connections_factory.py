"""How a channel makes connections for those who subscribe to it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any
from uuid import uuid4

from feedstore.channels.connection import Connection
from feedstore.channels.durable_queue import DurableQueue
from feedstore.channels.in_memory_queue import InMemoryQueue
from feedstore.channels.listener import MessageQueueListener
from feedstore.storage.backend import Backend, checked_backend


class ConnectionsFactory(ABC):
    """Makes the connections of a channel, so that all have queues of one kind."""

    @abstractmethod
    def create(self, listener: MessageQueueListener | None = None) -> Connection:
        """Return a new connection for ``listener``, or for a new listener if none is given."""


class InMemoryConnectionsFactory(ConnectionsFactory):
    """Connections whose queues live in memory and end with the process. The options are those of
    :class:`InMemoryQueue`."""

    def __init__(self, **queue_options: Any) -> None:
        InMemoryQueue(**queue_options)
        self._queue_options = queue_options

    def create(self, listener: MessageQueueListener | None = None) -> Connection:
        """Costs nothing."""
        return Connection(_listener(listener), InMemoryQueue(**self._queue_options))


class DurableConnectionsFactory(ConnectionsFactory):
    """Connections whose queues lie in a backend, each named ``connection:<connection id>``.

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
