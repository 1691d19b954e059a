"""Queues: what lies between a channel that dispatches and a listener that is delivered to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from feedstore.channels.message import MessageContract


class Queue(ABC):
    """A queue of messages, first in, first out. Write :meth:`push` and :meth:`pop`; the rest has a default over them.

    A queue that keeps its messages outside this object overrides :meth:`receive` and :meth:`ack`, so that a consumer
    that dies loses nothing, and :meth:`discard`.
    """

    blocking = False
    """Whether pushing and receiving wait for a store, so that an event loop has a thread do it."""

    @abstractmethod
    def pop(self) -> MessageContract:
        """Remove the oldest message and return it. Raises :class:`NoMessagesException` if there is none."""

    @abstractmethod
    def push(self, message: MessageContract) -> None:
        """Add a message at the end. Raises :class:`QueueFull` where the queue holds as many as it may."""

    def receive(self) -> tuple[str, MessageContract]:
        """Return a receipt and the oldest message. Raises :class:`NoMessagesException` if there is none.

        This default pops: the message is gone with whoever received it, and the receipt is empty.
        """
        return "", self.pop()

    def ack(self, receipt: str) -> bool:
        """Remove a message that was received; return whether it was still there under this receipt.

        After the default :meth:`receive` it never is: False.
        """
        return False

    def subscribe(self, callback: Callable[[], object]) -> Callable[[], None] | None:
        """Call ``callback`` after each push, from any thread, and return what ends that.

        None, the default, means that the queue cannot notify: a receiver that waits polls every second.
        """
        return None

    def seconds_to_next(self) -> float | None:
        """Return after how many seconds without a push a message may turn up, which others have received and may lose.

        None, the default: never.
        """
        return None

    def discard(self) -> None:
        """Remove what the queue keeps outside this object, when its connection is deleted.

        A queue that lives in memory ends with its object; there is nothing to remove.
        """
        return
