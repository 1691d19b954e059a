"""Durable queues, which survive a restart and a crash of their consumers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from feedstore.channels.message import MessageCodec, MessageContract
from feedstore.channels.queue import Queue
from feedstore.storage.notify.registry import Kind
from feedstore.storage.notify.subscription import Notifier
from feedstore.storage.queue import QueueStorage, checked_queue


class DurableQueue(Queue):
    """Messages in a backend's queue; ``storage`` is the result of ``backend.queue(name)``, with its options.

    The queue redelivers an unacknowledged message after the visibility timeout, so delivery is at least once.
    Messages are :class:`Message`, :class:`SignedMessage` or :class:`UniqueMessage`, with payloads of plain values.

    >>> from feedstore import connect
    >>> from feedstore.channels import Message
    >>> backend = connect("memory://")
    >>> DurableQueue(backend.queue("mails")).push(Message("mail", {"to": "bob"}))
    >>> receipt, message = DurableQueue(backend.queue("mails")).receive()
    >>> message
    Message('mail', {'to': 'bob'})
    """

    blocking = True
    _codec = MessageCodec()

    def __init__(self, storage: QueueStorage) -> None:
        self.storage = checked_queue(storage)

    @property
    def name(self) -> str:
        """The name of the backend's queue."""
        return self.storage.name

    def push(self, message: MessageContract) -> None:
        """One round trip.

        Raises :class:`InvalidTypeError` before the round trip if the message is of another class, or if its payload is
        not a plain value.
        """
        self.storage.push(self._codec.encode(message))

    def pop(self) -> MessageContract:
        """Receive a message and acknowledge it, so a crash of the consumer loses it. Two round trips, or one."""
        message: MessageContract = self._codec.decode(self.storage.pop())
        return message

    def receive(self, timeout: float = 0.0) -> tuple[str, MessageContract]:
        """Wait up to ``timeout`` seconds for a message, and hide it from others for the visibility timeout."""
        receipt, value = self.storage.receive(timeout)
        return receipt, self._codec.decode(value)

    def ack(self, receipt: str) -> bool:
        """One round trip."""
        return self.storage.ack(receipt)

    def subscribe(self, callback: Callable[[], object]) -> Callable[[], None]:
        """Call ``callback`` after a push of any process, and when the backend is closed."""

        def deliver(_: frozenset[str]) -> object:
            return callback()

        subscription = Notifier(self.storage.session).subscribe_kind(Kind.QUEUE, deliver, callback)
        subscription.add([self.name])
        return subscription.close

    def seconds_to_next(self) -> float | None:
        """Return the visibility timeout if the queue holds messages of other consumers, else None. One round trip."""
        return self.storage.visibility_timeout if self.storage.count() else None

    def discard(self) -> None:
        """Remove every message."""
        self.storage.flush()

    def configuration(self) -> dict[str, Any]:
        """Return the arguments of ``backend.queue`` that open this queue."""
        names = ("name", "visibility_timeout", "max_length", "when_full")
        return {name: getattr(self.storage, name) for name in names}
