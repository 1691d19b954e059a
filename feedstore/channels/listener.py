"""Listeners, which receive the messages of a channel."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

from feedstore.channels.message import MessageContract
from feedstore.channels.queue import Signal
from feedstore.storage.checks import check_key


class MessageQueueListener:
    """A listener of a channel, identified by its id. Override :meth:`on_message` to handle each delivery.

    ``listener_id`` is a str of 1 to 1,024 bytes in UTF-8; by default it is a random UUID. A listener receives messages
    between :meth:`start` and :meth:`stop`; a new or loaded one is not started.
    """

    def __init__(self, listener_id: str | None = None) -> None:
        self.id: str = given_or_new(listener_id, "listener id")
        self._running = False
        self._changed = Signal()

    def on_message(self, msg: MessageContract) -> None:
        """Handle a message that is being delivered; by default do nothing."""
        return

    def start(self) -> None:
        """Start to receive messages. Starting twice is no error."""
        self._running = True
        self._changed.send()

    def stop(self) -> None:
        """Stop receiving messages: streams to this listener end. Stopping twice is no error."""
        self._running = False
        self._changed.send()

    def is_running(self) -> bool:
        """Return whether the listener is started."""
        return self._running

    def subscribe(self, callback: Callable[[], object]) -> Callable[[], None]:
        """Call ``callback`` after each start and stop; return a function that ends the subscription."""
        return self._changed.subscribe(callback)


def given_or_new(identifier: str | None, kind: str) -> str:
    """Return the id of a channel, connection or listener, or a random UUID for None.

    An id follows the rules of keys: 1 to 1,024 bytes in UTF-8. ``kind`` names the id in errors.
    """
    return str(uuid4()) if identifier is None else check_key(identifier, kind)
