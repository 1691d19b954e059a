"""Whoever a channel delivers messages to."""

from __future__ import annotations

from collections.abc import Callable

from feedstore.channels.identity import given_or_new
from feedstore.channels.message import MessageContract
from feedstore.channels.signal import Signal


class MessageQueueListener:
    """A listener of a channel, known by its id. Override :meth:`on_message` to do something at each delivery.

    ``listener_id`` is a text of 1 to 1,024 bytes in UTF-8, and a random UUID's text unless it is given. A listener is
    delivered to between :meth:`start` and :meth:`stop`; a new or loaded one is not started.
    """

    def __init__(self, listener_id: str | None = None) -> None:
        self.id: str = given_or_new(listener_id, "listener id")
        self._running = False
        self._changed = Signal()

    def on_message(self, msg: MessageContract) -> None:
        """Handle a message that is being delivered; by default there is nothing to do but to hand it on."""
        return

    def start(self) -> None:
        """Be delivered to from now on. Starting twice is no error."""
        self._running = True
        self._changed.send()

    def stop(self) -> None:
        """Be delivered to no longer: streams to this listener end. Stopping twice is no error."""
        self._running = False
        self._changed.send()

    def is_running(self) -> bool:
        """Return whether the listener is started."""
        return self._running

    def subscribe(self, callback: Callable[[], object]) -> Callable[[], None]:
        """Call ``callback`` after each start and stop, and return what ends that."""
        return self._changed.subscribe(callback)
