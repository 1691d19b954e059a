"""Channels: what messages are dispatched through to those who listen."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from feedstore.channels.connection import Connection
from feedstore.channels.connection_table import ConnectionTable
from feedstore.channels.connections_factory import ConnectionsFactory, InMemoryConnectionsFactory
from feedstore.channels.identity import given_or_new
from feedstore.channels.in_memory_queue import check_message
from feedstore.channels.listener import MessageQueueListener
from feedstore.channels.message import MessageContract
from feedstore.channels.queue import Queue
from feedstore.channels.stream import adapted_messages
from feedstore.errors import (
    InvalidListenerException,
    InvalidTypeError,
    InvalidValueError,
    NoMessagesException,
    QueueFull,
)
from feedstore.shown import shown


class AbstractChannel(ABC):
    """Connections, and the messages that are dispatched to one of them or broadcast to all.

    - ``stream_delay_seconds`` (0) is the pause between two messages of one stream.
    - ``channel_id`` is a text of 1 to 1,024 bytes in UTF-8, and a random UUID's text unless it is given.
    - ``connections_factory`` makes the connections of those who subscribe; by default their queues live in memory.

    Safe to share between threads. A message lies in each queue by itself: :meth:`broadcast` costs what the queues cost,
    nothing but a few microseconds in memory, a round trip for each one that lies in a store.
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
        """What makes the connections of those who subscribe."""
        return self._connections_factory

    @abstractmethod
    def adapt(self, msg: MessageContract) -> Any:
        """Return what a stream of this channel gives for a message."""

    def add_listener(self) -> MessageQueueListener:
        """Make a connection, register it, and return its listener, which is not started."""
        connection = self._connections_factory.create()
        self._connections.add(connection)
        return connection.listener

    def register_listener(self, listener: MessageQueueListener) -> None:
        """Make a connection for a listener and register it, in the place of the one that the same id had."""
        self._connections.add(self._connections_factory.create(listener=listener))

    def register_connection(self, connection: Connection) -> None:
        """Register a connection, in the place of the one that its listener's id had."""
        self._connections.add(connection)

    def remove_listener(self, listener_id: str) -> None:
        """Remove a listener and its connection from the channel; what waits in its queue stays there.

        A stream to it ends with a message of the type ``error``. Raises :class:`InvalidListenerException` for one that
        is not there.
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
        """Return the connections as they are now, in the order of their registration."""
        return self._connections.all()

    def dispatch(self, listener_id: str, msg: MessageContract) -> None:
        """Add a message to the queue of one listener, started or not.

        Raises :class:`InvalidListenerException` for one that is not there, and :class:`QueueFull` if its queue is.
        """
        self._get_queue(listener_id).push(msg)

    def broadcast(self, msg: MessageContract) -> None:
        """Add a message to the queue of every listener; of none it does nothing.

        A full queue keeps no other listener from getting it: :class:`QueueFull`, which names those whose queues were
        full, is raised when all others have it.
        """
        check_message(msg)
        full = [one.listener.id for one in self._connections.all() if not _is_pushed(one.queue, msg)]
        if full:
            raise QueueFull(f"the queues of these listeners are full, all others have the message: {full}")

    def deliver_next(self, listener_id: str) -> MessageContract:
        """Remove the oldest message of a listener's queue, call its ``on_message``, and return it.

        A message whose ``on_message`` raises is not acknowledged, so a durable queue gives it again. Raises
        :class:`NoMessagesException` if there is none or the listener is not started, and
        :class:`InvalidListenerException` for one that is not there.
        """
        connection = self._connections.get(listener_id)
        if not connection.listener.is_running():
            raise NoMessagesException(f"the listener {shown(listener_id)} is not started; call its start()")
        receipt, message = connection.queue.receive()
        connection.listener.on_message(message)
        connection.queue.ack(receipt)
        return message

    def message_stream(self, listener: MessageQueueListener) -> AsyncIterator[Any]:
        """Yield what :meth:`adapt` makes of each message of a listener's queue, until the listener is stopped.

        While there is none, it waits and costs nothing, where the queue tells of pushes. A message is acknowledged when
        the next one is asked for, so one that was lost on its way to a client comes again from a durable queue. Its
        reads run on the event loop's threads. A listener that is not the channel's raises
        :class:`InvalidListenerException` at the first step; what ``on_message`` or a store raises ends the stream.
        """
        return adapted_messages(self, listener)

    async def watch(self) -> AsyncIterator[Any]:
        """Add a listener, start it, and return its stream; the listener is removed when the stream ends."""
        listener = self.add_listener()
        listener.start()
        return adapted_messages(self, listener, on_end=lambda: self._forget(listener.id))

    def _get_queue(self, listener_id: str) -> Queue:
        return self._connections.get(listener_id).queue

    def _forget(self, listener_id: str) -> None:
        with suppress(InvalidListenerException):
            self.remove_listener(listener_id)


class Channel(AbstractChannel):
    """A channel whose streams give the messages as they are, for consumers in Python.

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


def _is_pushed(queue: Queue, msg: MessageContract) -> bool:
    try:
        queue.push(msg)
    except QueueFull:
        return False
    return True


def _checked_number(name: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InvalidTypeError(f"{name} is a number, not {shown(value)} of type {type(value).__name__}")
    if not 0 <= value < math.inf:
        raise InvalidValueError(f"{name} is {shown(value)}; it is 0 or more")
    return value


def _checked_factory(factory: ConnectionsFactory | None) -> ConnectionsFactory:
    if factory is None:
        return InMemoryConnectionsFactory()
    if not callable(getattr(factory, "create", None)):
        raise InvalidTypeError(f"connections_factory has a method create(listener=None); {shown(factory)} has none")
    return factory
