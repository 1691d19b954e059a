"""A queue in this process's memory."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from feedstore.channels.message import MessageContract
from feedstore.channels.queue import Queue
from feedstore.channels.signal import Signal
from feedstore.errors import InvalidTypeError, NoMessagesException, QueueFull
from feedstore.shown import shown
from feedstore.storage.queue import MAX_LENGTH, REFUSE, checked_bound


class InMemoryQueue(Queue):
    """Messages in memory, which end with the process. Safe to share between threads; pushing and popping are O(1).

    It holds ``max_length`` messages (100,000). A push beyond that raises :class:`QueueFull`, or drops the oldest with
    ``when_full="drop_oldest"``.

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
        """O(1). Raises :class:`InvalidTypeError` for what is no message."""
        check_message(message)
        with self._lock:
            if len(self._messages) >= self.max_length:
                self._make_room()
            self._messages.append(message)
        self._pushed.send()

    def _make_room(self) -> None:
        if self.when_full == REFUSE:
            raise QueueFull(f"the queue holds {self.max_length} messages, as many as it may")
        self._messages.popleft()

    def subscribe(self, callback: Callable[[], object]) -> Callable[[], None]:
        """Costs nothing until a message is pushed."""
        return self._pushed.subscribe(callback)


def check_message(message: object) -> None:
    """Raise :class:`InvalidTypeError` for what has no type and payload."""
    if not (hasattr(message, "type") and hasattr(message, "payload")):
        raise InvalidTypeError(f"a message has a type and a payload: pass a Message, not {shown(message)}")
