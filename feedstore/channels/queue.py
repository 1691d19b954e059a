"""Queues of messages, between a channel that dispatches and a listener that receives."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable

from feedstore.channels.message import MessageContract
from feedstore.errors import InvalidTypeError, NoMessagesException, QueueFull
from feedstore.shown import shown
from feedstore.storage.queue import MAX_LENGTH, REFUSE, checked_bound

_Callback = Callable[[], object]


class Signal:
    """A list of callbacks. Safe to share between threads; a callback must not block."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._callbacks: dict[object, _Callback] = {}

    def subscribe(self, callback: _Callback) -> Callable[[], None]:
        """Call ``callback`` at each :meth:`send`; return a function that ends the subscription.

        Ending a subscription twice is no error.
        """
        token = object()
        with self._lock:
            self._callbacks[token] = callback
        return lambda: self._unsubscribe(token)

    def send(self) -> None:
        """Call every callback, outside the lock."""
        with self._lock:
            callbacks = list(self._callbacks.values())
        for callback in callbacks:
            callback()

    def _unsubscribe(self, token: object) -> None:
        with self._lock:
            self._callbacks.pop(token, None)


class Queue(ABC):
    """A queue of messages, first in, first out. Write :meth:`push` and :meth:`pop`; the other methods have defaults.

    A queue that keeps its messages outside this object overrides :meth:`receive` and :meth:`ack`, so that a consumer
    that crashes loses no message, and :meth:`discard`.
    """

    blocking = False
    """Whether push and receive wait for a store, so that an event loop calls them in a thread."""

    @abstractmethod
    def pop(self) -> MessageContract:
        """Remove the oldest message and return it. Raises :class:`NoMessagesException` if there is none."""

    @abstractmethod
    def push(self, message: MessageContract) -> None:
        """Add a message at the end. Raises :class:`QueueFull` if the queue is full."""

    def receive(self) -> tuple[str, MessageContract]:
        """Return a receipt and the oldest message. Raises :class:`NoMessagesException` if there is none.

        This default pops: a crash of the consumer loses the message, and the receipt is empty.
        """
        return "", self.pop()

    def ack(self, receipt: str) -> bool:
        """Remove a received message; return whether the queue still held it under this receipt.

        With the default :meth:`receive` it never does: the result is False.
        """
        return False

    def subscribe(self, callback: _Callback) -> Callable[[], None] | None:
        """Call ``callback`` after each push, from any thread; return a function that ends the subscription.

        None, the default, means that the queue cannot notify: a waiting receiver polls every second.
        """
        return None

    def seconds_to_next(self) -> float | None:
        """Return the seconds until an unacknowledged message may be redelivered, or None, the default, for never."""
        return None

    def discard(self) -> None:
        """Remove the messages that the queue keeps outside this object, because its connection is deleted.

        A queue in memory ends with its object, so the default does nothing.
        """
        return


class InMemoryQueue(Queue):
    """Messages in the memory of this process. Safe to share between threads; pushing and popping are O(1).

    The queue holds ``max_length`` messages (100,000). A push beyond that raises :class:`QueueFull`, or drops the oldest
    message with ``when_full="drop_oldest"``.

    >>> from feedstore.channels import Message
    >>> queue = InMemoryQueue()
    >>> queue.push(Message("greeting", "hello"))
    >>> queue.pop()
    Message('greeting', 'hello')
    """

    def __init__(self, max_length: int = MAX_LENGTH, when_full: str = REFUSE) -> None:
        self.max_length, self.when_full = checked_bound(max_length, when_full)
        self._lock = threading.Lock()
        self._messages: deque[MessageContract] = deque()
        self._pushed = Signal()

    def pop(self) -> MessageContract:
        """O(1)."""
        with self._lock:
            if not self._messages:
                raise NoMessagesException("the queue has no message to give")
            return self._messages.popleft()

    def push(self, message: MessageContract) -> None:
        """O(1). Raises :class:`InvalidTypeError` for an object that is not a message."""
        check_message(message)
        with self._lock:
            if len(self._messages) >= self.max_length:
                self._make_room()
            self._messages.append(message)
        self._pushed.send()

    def _make_room(self) -> None:
        if self.when_full == REFUSE:
            raise QueueFull(f"the queue is full: it holds {self.max_length} messages; receive some of them first")
        self._messages.popleft()

    def subscribe(self, callback: _Callback) -> Callable[[], None]:
        """Costs nothing until a message is pushed."""
        return self._pushed.subscribe(callback)


def check_message(message: object) -> None:
    """Raise :class:`InvalidTypeError` for an object without type and payload."""
    if not (hasattr(message, "type") and hasattr(message, "payload")):
        raise InvalidTypeError(f"a message must have a type and a payload; pass a Message, not {shown(message)}")
