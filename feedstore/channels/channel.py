"""Channels, which dispatch messages to listeners."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from feedstore.channels.connection import (
    Connection,
    ConnectionsFactory,
    ConnectionTable,
    InMemoryConnectionsFactory,
)
from feedstore.channels.listener import MessageQueueListener, given_or_new
from feedstore.channels.message import MessageContract
from feedstore.channels.queue import Queue, check_message
from feedstore.channels.stream import adapted_messages
from feedstore.errors import (
    InvalidListenerException,
    InvalidTypeError,
    InvalidValueError,
    NoMessagesException,
    QueueFull,
)
from feedstore.shown import shown
from feedstore.storage.checks import check_position

RETRY_TIMEOUT_MILLISECONDS = 5
"""The default of the milliseconds after which a client reconnects that has lost its connection."""


class AbstractChannel(ABC):
    """Connections, and the messages that are dispatched to one of them or broadcast to all.

    - ``stream_delay_seconds`` (0) is the pause between two messages of one stream.
    - ``channel_id`` is a str of 1 to 1,024 bytes in UTF-8; by default it is a random UUID.
    - ``connections_factory`` makes the connections of new listeners; by default their queues are in memory.

    Safe to share between threads. Each queue holds its own copy of a message: :meth:`broadcast` costs a few
    microseconds for each queue in memory, and a round trip for each queue in a store.
    """

    def __init__(
        self,
        stream_delay_seconds: float = 0,
        channel_id: str | None = None,
        connections_factory: ConnectionsFactory | None = None,
    ) -> None:
        self._id = given_or_new(channel_id, "channel id")
        self.stream_delay_seconds = _checked_number("stream_delay_seconds", stream_delay_seconds)
        self._connections_factory = _checked_factory(connections_factory)
        self._connections = ConnectionTable(self._id)

    @property
    def id(self) -> str:
        """The channel's id."""
        return self._id

    @property
    def connections_factory(self) -> ConnectionsFactory:
        """The factory of the new listeners' connections."""
        return self._connections_factory

    @abstractmethod
    def adapt(self, msg: MessageContract) -> Any:
        """Return the item that a stream of this channel yields for a message."""

    def add_listener(self) -> MessageQueueListener:
        """Make a connection, register it, and return its listener, which is not started."""
        connection = self._connections_factory.create()
        self._connections.add(connection)
        return connection.listener

    def register_listener(self, listener: MessageQueueListener) -> None:
        """Make a connection for a listener and register it; it replaces the connection of the same listener id."""
        self._connections.add(self._connections_factory.create(listener=listener))

    def register_connection(self, connection: Connection) -> None:
        """Register a connection; it replaces the connection of the same listener id."""
        self._connections.add(connection)

    def remove_listener(self, listener_id: str) -> None:
        """Remove a listener and its connection from the channel; the messages stay in its queue.

        A stream to the listener ends with a message of the type ``error``. Raises :class:`InvalidListenerException` for
        an unknown listener.
        """
        connection = self._connections.remove(listener_id)
        connection.listener.stop()

    def get_listener(self, listener_id: str) -> MessageQueueListener:
        """Return the listener of an id, or raise :class:`InvalidListenerException`."""
        return self._connections.get(listener_id).listener

    def get_connection(self, listener_id: str) -> Connection:
        """Return the connection of a listener's id, or raise :class:`InvalidListenerException`."""
        return self._connections.get(listener_id)

    def get_connections(self) -> list[Connection]:
        """Return the connections at this moment, in the order of their registration."""
        return self._connections.all()

    def dispatch(self, listener_id: str, msg: MessageContract) -> None:
        """Add a message to the queue of one listener, started or not.

        Raises :class:`InvalidListenerException` for an unknown listener, and :class:`QueueFull` if its queue is full.
        """
        self._get_queue(listener_id).push(msg)

    def broadcast(self, msg: MessageContract) -> None:
        """Add a message to the queue of every listener; without listeners do nothing.

        If some queues are full, all other queues get the message, and then :class:`QueueFull` is raised, which names
        the listeners with full queues.
        """
        check_message(msg)
        connections = self._connections.all()
        full = [connection.listener.id for connection in connections if not _is_pushed(connection.queue, msg)]
        if full:
            raise QueueFull(f"the queues of these listeners are full, all others have the message: {full}")

    def deliver_next(self, listener_id: str) -> MessageContract:
        """Remove the oldest message of a listener's queue, call its ``on_message``, and return it.

        If ``on_message`` raises, the message is not acknowledged, so a durable queue redelivers it. Raises
        :class:`NoMessagesException` if there is no message or the listener is not started, and
        :class:`InvalidListenerException` for an unknown listener.
        """
        connection = self._connections.get(listener_id)
        if not connection.listener.is_running():
            raise NoMessagesException(f"the listener {shown(listener_id)} is not started; call its start()")
        receipt, message = connection.queue.receive()
        connection.listener.on_message(message)
        connection.queue.ack(receipt)
        return message

    def message_stream(self, listener: MessageQueueListener) -> AsyncIterator[Any]:
        """Yield the result of :meth:`adapt` for each message of a listener's queue, until the listener is stopped.

        While the queue is empty, the stream waits for a notification if the queue can notify of pushes, else it polls.
        The stream acknowledges a message when the consumer requests the next one, so a durable queue redelivers a
        message that was lost on its way to a client. Reads run in threads of the event loop. An unknown listener raises
        :class:`InvalidListenerException` at the first step. An exception of ``on_message`` or of a store ends the
        stream.
        """
        return adapted_messages(self, listener)

    async def watch(self) -> AsyncIterator[Any]:
        """Add a listener, start it, and return its stream. The end of the stream removes the listener."""
        listener = self.add_listener()
        listener.start()
        return adapted_messages(self, listener, on_end=lambda: self._forget(listener.id))

    def _get_queue(self, listener_id: str) -> Queue:
        return self._connections.get(listener_id).queue

    def _forget(self, listener_id: str) -> None:
        with suppress(InvalidListenerException):
            self.remove_listener(listener_id)


class Channel(AbstractChannel):
    """A channel whose streams yield the messages themselves, for consumers in Python.

    >>> from feedstore.channels import Message
    >>> channel = Channel(channel_id="news")
    >>> listener = channel.add_listener()
    >>> listener.start()
    >>> channel.broadcast(Message("greeting", "hello"))
    >>> channel.deliver_next(listener.id)
    Message('greeting', 'hello')
    """

    def adapt(self, msg: MessageContract) -> Any:
        """Return the message itself."""
        return msg


class SSEChannel(AbstractChannel):
    """A channel whose streams yield the fields of server-sent events, as dictionaries.

    A client that has lost its connection reconnects after ``retry_timeout_milliseconds`` (5). The other arguments are
    those of :class:`AbstractChannel`.

    >>> from feedstore.channels import Message
    >>> SSEChannel(retry_timeout_milliseconds=3000).adapt(Message("greeting", "hello"))
    {'event': 'greeting', 'retry': 3000, 'data': 'hello'}
    """

    def __init__(
        self,
        stream_delay_seconds: float = 0,
        retry_timeout_milliseconds: int = RETRY_TIMEOUT_MILLISECONDS,
        channel_id: str | None = None,
        connections_factory: ConnectionsFactory | None = None,
    ) -> None:
        super().__init__(stream_delay_seconds, channel_id, connections_factory)
        self.retry_timeout_milliseconds = check_position("retry_timeout_milliseconds", retry_timeout_milliseconds)

    def adapt(self, msg: MessageContract) -> dict[str, Any]:
        """Return ``{"event": type, "retry": milliseconds, "data": payload}``."""
        return {"event": msg.type, "retry": self.retry_timeout_milliseconds, "data": msg.payload}


def _is_pushed(queue: Queue, msg: MessageContract) -> bool:
    try:
        queue.push(msg)
    except QueueFull:
        return False
    return True


def _checked_number(name: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InvalidTypeError(f"{name} must be a number, not {shown(value)} of type {type(value).__name__}")
    if not 0 <= value < math.inf:
        raise InvalidValueError(f"{name} is {shown(value)}; pass 0 or more")
    return value


def _checked_factory(factory: ConnectionsFactory | None) -> ConnectionsFactory:
    if factory is None:
        return InMemoryConnectionsFactory()
    if not callable(getattr(factory, "create", None)):
        raise InvalidTypeError(f"connections_factory must have a method create(listener=None), not {shown(factory)}")
    return factory
