"""The queue's contract."""

from __future__ import annotations

import logging
import math
import re
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any

from feedstore.errors import (
    InvalidTypeError,
    InvalidValueError,
    NoMessagesException,
    QueueFull,
    StorageTimeoutError,
    StorageUnavailableError,
    StoredDataError,
)
from feedstore.shown import shown
from feedstore.storage.checks import check_key, check_position, checked_iterable
from feedstore.storage.kv import decode_named, encode_named
from feedstore.storage.notify.registry import Kind, Topic
from feedstore.storage.notify.subscription import Notifier
from feedstore.storage.session import checked_session

_logger = logging.getLogger("feedstore.queue")
VISIBILITY_TIMEOUT = 30.0
"""The default number of seconds for which a received message is hidden from other consumers."""
MAX_LENGTH = 100_000
"""The default maximum number of messages in a queue."""
MOST = 2**31 - 1
"""The greatest ``max_length``, and the greatest number of messages of one receive."""
REFUSE, DROP_OLDEST = "refuse", "drop_oldest"
LONGEST_SECONDS = 366 * 86_400.0
_PAUSE_SECONDS = 0.5
# A message that is due now may just be received by another consumer; do not retry without a pause.
_SHORTEST_PAUSE_SECONDS = 0.01
_SHOWN_CHARACTERS = 80
# Numbers that fit a signed integer of 64 bits, without leading zeros: each number has one spelling.
_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}", re.ASCII)

Delivery = tuple[str, "bytes | None"]
"""A receipt, and the bytes of the message; None for an entry of the store that is no message."""
OnDamaged = Callable[[str, Any, StoredDataError], object]
"""A function that receives the receipt of a damaged message, its stored data, and the error that names the damage."""


class QueueStorage(ABC):
    """A queue of messages that survives a restart and a crash of its consumer. Made by :meth:`Backend.queue`.

    Options: ``visibility_timeout`` (30) is the number of seconds for which a received message is hidden from other
    consumers. ``max_length`` (100,000) is the maximum number of messages, including received ones that were not
    acknowledged. ``when_full`` is the behaviour of a push to a full queue: ``"refuse"`` raises :class:`QueueFull`,
    ``"drop_oldest"`` drops the oldest messages, received or not. The options belong to this object and not to the
    queue: other objects may push and receive with other options.

    - Q1 A pushed message is received at least once: :meth:`receive` returns a message and a receipt, and :meth:`ack`
      removes the message. Without an ack within the visibility timeout, the message is delivered again, under another
      receipt, before those that were never received. A consumer that dies loses nothing.
    - Q2 Two consumers, in any threads or processes, never have the same message within the visibility timeout. Without
      the ability of exclusive claims, two consumers that receive at the same moment may.
    - Q3 First in, first out: a message is delivered before those that were pushed after it. Concurrent pushes have one
      order for all consumers; the messages of one push stay together if the store can do that.
    - Q4 An ack with the last receipt removes the message and returns True, also after the visibility timeout as long
      as no other consumer has received it. With any other receipt (superseded, acknowledged, dropped, unknown) it
      returns False and changes nothing.
    - Q5 A queue never holds more than the ``max_length`` of the object that pushes. A push is all or nothing. The
      default over timelines may exceed the maximum by the number of messages of concurrent pushes.
    - Q6 Messages are None, bool, int, float, str, bytes, list, dict, aware datetime, date, Decimal and UUID, as
      the values of key-value storages are; each comes back as the type it went in, and anything else is an
      :class:`InvalidTypeError`.
    - Q7 If the store can push, a push of any process wakes a :meth:`receive` that waits, and the wait itself sends
      nothing. Otherwise the dispatcher polls, at an interval that the backend states. A waiting receive also tries
      again when a message of another consumer may be redelivered.
    - Q8 Each name is a queue of its own, and namespaces are apart. Pushing and receiving join no batch.

    Safe to share between threads. On a server the visibility timeout is measured by the server's clock, and elsewhere
    by the machine's.

    >>> from feedstore import connect
    >>> queue = connect("memory://").queue("mails", visibility_timeout=60)
    >>> queue.push({"to": "bob"})
    >>> receipt, message = queue.receive()
    >>> message
    {'to': 'bob'}
    >>> queue.ack(receipt)
    True
    """

    def __init__(
        self,
        *,
        backend: Any,
        name: str = "default",
        visibility_timeout: float = VISIBILITY_TIMEOUT,
        max_length: int = MAX_LENGTH,
        when_full: str = REFUSE,
    ) -> None:
        self.session = checked_session(backend)
        self.name = check_key(name, "name")
        self.visibility_timeout = _check_seconds("visibility_timeout", visibility_timeout)
        if not self.visibility_timeout:
            raise InvalidValueError("visibility_timeout is 0; it must be above 0 seconds")
        self.max_length, self.when_full = checked_bound(max_length, when_full)

    def push(self, message: Any) -> None:
        """Add one message at the end; see :meth:`push_many`. One round trip."""
        self.push_many([message])

    def push_many(self, messages: Iterable[Any]) -> None:
        """Add messages at the end, in their order, and wake waiting receivers; an empty list is no error.

        All messages are checked before the first is sent. With ``when_full="drop_oldest"`` the oldest messages are
        dropped to make room; of more than ``max_length`` messages the first are dropped too. A bounded number of round
        trips, O(1) for each message.

        Raises:
            QueueFull: The messages do not fit; none of them is stored.
        """
        what = f"a message of {self}"
        encoded = [encode_named(what, message) for message in checked_iterable(messages)]
        self.session.check_open()
        if encoded:
            self._push(encoded)

    def receive(self, timeout: float = 0.0) -> tuple[str, Any]:
        """Return ``(receipt, message)`` of the oldest visible message, and hide it from other consumers.

        If there is none, wait up to ``timeout`` seconds. If the server becomes unavailable during the wait, retry until
        the end of the wait. One round trip if there is a message; where the store can push, the wait sends nothing.

        Raises:
            NoMessagesException: There was no message within ``timeout`` seconds.
            StorageError: The store was unavailable at the end of the wait.
            BackendClosedError: The backend was closed, possibly during the wait.
        """
        return self.receive_many(1, timeout)[0]

    def receive_many(
        self, limit: int, timeout: float = 0.0, *, on_damaged: OnDamaged | None = None
    ) -> list[tuple[str, Any]]:
        """Return up to ``limit`` deliveries, oldest first, as :meth:`receive` does; wait for the first one only.

        A damaged message among others is logged and left out.

        Args:
            limit: the maximum number of messages.
            timeout: the seconds to wait for the first message.
            on_damaged: a function that receives each damaged message instead of the log. The list may be empty then.

        Raises:
            StoredDataError: All messages are damaged, and ``on_damaged`` is None. The error names a receipt; ``ack``
                with it removes the message. The next call returns the messages after it.
        """
        if check_position("limit", limit) == 0:
            raise InvalidValueError("limit is 0; receive 1 message or more")
        seconds = _check_seconds("timeout", timeout)
        self.session.check_open()
        most = min(limit, MOST)
        found = self._receive(most) or (self._wait(most, seconds) if seconds else [])
        if not found:
            raise NoMessagesException(f"{self} has no visible message")
        return self._decoded(found, on_damaged)

    def _decoded(self, found: list[Delivery], on_damaged: OnDamaged | None) -> list[tuple[str, Any]]:
        decoded: list[tuple[str, Any]] = []
        damaged: StoredDataError | None = None
        for receipt, data in found:
            value, error = _decode(f"the message with the receipt {shown(receipt)} of {self}", data)
            if error is None:
                decoded.append((receipt, value))
            elif on_damaged is not None:
                on_damaged(receipt, data, error)
            else:
                _logger.error("%s; ack() with its receipt removes it", error)
                damaged = damaged or error
        if damaged is not None and not decoded:
            raise damaged
        return decoded

    def ack(self, receipt: str) -> bool:
        """Remove a received message, and return whether this was its last receipt (Q4). One round trip.

        Raises:
            InvalidTypeError: The receipt is no str.
        """
        self._check_receipt(receipt)
        self.session.check_open()
        return self._ack(receipt)

    def delivery_count(self, receipt: str) -> int:
        """Return the number of deliveries of a message up to that of a receipt: 1 for the first. No round trip.

        It is 0 for a str that is no receipt of such a queue.

        Raises:
            InvalidTypeError: The receipt is no str.
        """
        self._check_receipt(receipt)
        return self._delivery_count(receipt)

    @staticmethod
    def _check_receipt(receipt: object) -> None:
        if not isinstance(receipt, str):
            raise InvalidTypeError(f"a receipt must be the str that receive() returned, not {shown(receipt)}")

    def pop(self) -> Any:
        """Receive and acknowledge the oldest message, and return it. A crash after that loses the message.

        Two round trips, or one if the store can do both.

        Raises:
            NoMessagesException: There is no visible message.
        """
        receipt, message = self.receive()
        self.ack(receipt)
        return message

    def count(self) -> int:
        """Return the number of messages, including received ones that were not acknowledged. One round trip."""
        self.session.check_open()
        return self._count()

    def flush(self) -> None:
        """Remove every message, received or not; an empty queue is no error. Earlier receipts become unknown.

        The cost is proportional to the number of messages.
        """
        self.session.check_open()
        self._flush()

    @abstractmethod
    def _delivery_count(self, receipt: str) -> int:
        """Return the number of deliveries that a receipt states; 0 for a str that is no receipt of such a queue."""

    @abstractmethod
    def _push(self, messages: list[bytes]) -> None:
        """Add one or more messages at the end, or raise :class:`QueueFull`; then publish :attr:`topic`."""

    @abstractmethod
    def _receive(self, limit: int) -> list[Delivery]:
        """Return the oldest visible messages and hide them; an empty list if there are none."""

    @abstractmethod
    def _ack(self, receipt: str) -> bool:
        """Remove the message with this last receipt; return whether there was one. The receipt may be any str."""

    @abstractmethod
    def _count(self) -> int:
        """Return the number of messages."""

    @abstractmethod
    def _flush(self) -> None:
        """Remove every message."""

    def _seconds_to_next(self) -> float:
        """Return the seconds until a message of another consumer may be redelivered, at most the visibility timeout."""
        return self.visibility_timeout

    def full_error(self, count: int) -> QueueFull:
        """Return the error for messages that do not fit."""
        return QueueFull(
            f"{self} holds {self.max_length} messages at most, and {count} more do not fit; receive "
            f"and acknowledge some, or pass when_full={shown(DROP_OLDEST)}"
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}(backend={self.session!r}, name={shown(self.name)})"

    def __str__(self) -> str:
        name = self.name if len(self.name) <= _SHOWN_CHARACTERS else f"{self.name[:_SHOWN_CHARACTERS]}…"
        return f"the queue {shown(name)}"

    @property
    def topic(self) -> Topic:
        """The topic that a push publishes."""
        return Topic(self.session.namespace, Kind.QUEUE, self.name)

    def _wait(self, limit: int, seconds: float) -> list[Delivery]:
        deadline = time.monotonic() + seconds
        woken = threading.Event()
        subscription = Notifier(self.session).subscribe_kind(Kind.QUEUE, lambda keys: woken.set(), woken.set)
        with subscription:
            subscription.add([self.name])
            while True:
                woken.clear()
                found, pause = self._try_receive(limit, deadline)
                left = deadline - time.monotonic()
                if found or left <= 0:
                    return found
                woken.wait(min(max(pause, _SHORTEST_PAUSE_SECONDS), left))

    def _try_receive(self, limit: int, deadline: float) -> tuple[list[Delivery], float]:
        """Return the visible messages, and the seconds to wait before the next try."""
        try:
            found = self._receive(limit)
            return found, 0.0 if found else self._seconds_to_next()
        except (StorageUnavailableError, StorageTimeoutError):
            if time.monotonic() >= deadline:
                raise
            return [], _PAUSE_SECONDS


def _decode(what: str, data: object) -> tuple[Any, StoredDataError | None]:
    """Return the value of a message, or the error if it is damaged."""
    if not isinstance(data, bytes):
        return None, StoredDataError(f"{what} is no bytes, but of type {type(data).__name__}")
    try:
        return decode_named(what, data), None
    except StoredDataError as error:
        return None, error


def checked_bound(max_length: int, when_full: str) -> tuple[int, str]:
    """Return the options ``max_length`` and ``when_full`` of :class:`QueueStorage`, or raise if one is invalid."""
    if not 1 <= check_position("max_length", max_length) <= MOST:
        raise InvalidValueError(f"max_length is {shown(max_length)}; it must be between 1 and {MOST}")
    if when_full not in (REFUSE, DROP_OLDEST):
        raise InvalidValueError(f"when_full is {shown(when_full)}; it must be {shown(REFUSE)} or {shown(DROP_OLDEST)}")
    return max_length, when_full


def _check_seconds(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InvalidTypeError(f"{name} must be a number of seconds, not {shown(value)} of type {type(value).__name__}")
    if not 0 <= value <= LONGEST_SECONDS or math.isnan(value):
        raise InvalidValueError(f"{name} is {shown(value)}; it must be between 0 and {LONGEST_SECONDS:g} seconds")
    return float(value)


def checked_queue(storage: Any) -> QueueStorage:
    """Return ``storage``, or raise :class:`InvalidTypeError` unless it is a backend's queue."""
    if not isinstance(storage, QueueStorage):
        raise InvalidTypeError(f"storage must be the result of backend.queue(name), not {shown(storage)}")
    return storage


def numbers_of(receipt: str, count: int) -> tuple[int, ...] | None:
    """Return the ``count`` numbers of a receipt, which ``-`` joins; None if the receipt has another form."""
    parts = receipt.split("-")
    if len(parts) != count or not all(_NUMBER.fullmatch(part) for part in parts):
        return None
    return tuple(map(int, parts))
