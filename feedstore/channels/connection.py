"""A listener and its queue."""

from __future__ import annotations

from feedstore.channels.identity import given_or_new
from feedstore.channels.listener import MessageQueueListener
from feedstore.channels.queue import Queue
from feedstore.shown import shown


class Connection:
    """A listener and the queue of what it is to be delivered.

    ``connection_id`` is a text of 1 to 1,024 bytes in UTF-8, and a random UUID's text unless it is given.
    """

    def __init__(self, listener: MessageQueueListener, queue: Queue, connection_id: str | None = None) -> None:
        self._listener = listener
        self._queue = queue
        self._id = given_or_new(connection_id, "connection id")

    @property
    def listener(self) -> MessageQueueListener:
        """Whom the messages are for."""
        return self._listener

    @property
    def queue(self) -> Queue:
        """Where they wait."""
        return self._queue

    @property
    def id(self) -> str:
        """The connection's id."""
        return self._id

    def __repr__(self) -> str:
        return f"Connection({shown(self.listener)}, {shown(self.queue)}, {shown(self.id)})"
