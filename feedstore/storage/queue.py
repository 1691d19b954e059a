"""The queue's contract."""

from __future__ import annotations

import logging
import math
import re
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable
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
from feedstore.storage.backend import Backend, checked_backend
from feedstore.storage.bounds import check_position
from feedstore.storage.key import check_key, checked_iterable
from feedstore.storage.kv import decode_named, encode_named
from feedstore.storage.notify.registry import Kind, Topic

_logger = logging.getLogger("feedstore.queue")
VISIBILITY_TIMEOUT = 30.0
"""Seconds for which a message that was received is given to nobody else, unless the queue is told another number."""
MAX_LENGTH = 100_000
"""How many messages a queue holds, unless it is told another number."""
MOST = 2**31 - 1
"""The greatest ``max_length``, and the most messages that are received at once."""
REFUSE, DROP_OLDEST = "refuse", "drop_oldest"
LONGEST_SECONDS = 366 * 86_400.0
_PAUSE_SECONDS = 0.5
# What falls due now may be just in somebody else's hands: not to be asked for without a pause.
_SHORTEST_PAUSE_SECONDS = 0.01
_SHOWN_CHARACTERS = 80
# Up to what a signed integer of 64 bits holds, and without a leading zero: one way to write each.
_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}", re.ASCII)

Delivery = tuple[str, "bytes | None"]
"""A receipt, and the bytes of a message; None for an entry of the store that is no message."""


class QueueStorage(ABC):
    """A queue of messages that survives a restart and a crash of its consumer. Made by :meth:`Backend.queue`.

    Options: ``visibility_timeout`` (seconds, 30) is how long a message that was received stays hidden from others;
    ``max_length`` (100,000) how many messages the queue holds, those that were received and not acknowledged included;
    ``when_full`` what a push does then: ``"refuse"`` raises :class:`QueueFull`, ``"drop_oldest"`` drops the oldest,
    received or not. They belong to this object and not to the queue: others may push and receive with other ones.

    - Q1 What was pushed is received at least once: :meth:`receive` gives a message and a receipt, and :meth:`ack`
      removes it. Without an ack within the visibility timeout, the message is given again, under another receipt,
      before those that nobody has received yet. A consumer that dies loses nothing.
    - Q2 Two consumers never have the same message within the visibility timeout, in whatever threads or processes.
      Without the ability of exclusive claims two that receive in the same instant may.
    - Q3 First in, first out: a message is given before those that were pushed after it. Pushes at the same time have
      some one order; the messages of one push stand together where the store can have it so.
    - Q4 An ack under the last receipt removes the message and returns True, also after the visibility timeout as long
      as nobody else has received it. Under any other (given again since, acknowledged, dropped, never given) it
      returns False and changes nothing.
    - Q5 A queue never holds more than ``max_length`` messages, by the count of whoever pushes. A push is all or
      nothing. The default over timelines may exceed it by what others push at the same time.
    - Q6 Messages are None, bool, int, float, str, bytes, list, dict, aware datetime, date, Decimal and UUID, as
      the values of key-value storages are; each comes back as the type it went in, and anything else is an
      :class:`InvalidTypeError`.
    - Q7 A :meth:`receive` that waits is woken by a push of any process where the store can push, and looks again when
      a message of others falls due; meanwhile it costs nothing. Elsewhere the backend states at which delay it polls.
    - Q8 Each name is a queue of its own, and namespaces are apart. Pushing and receiving join no batch.

    Safe to share between threads. The visibility timeout is measured by the store's clock on a server, and elsewhere by
    that of the machine.

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
        backend: Backend,
        name: str = "default",
        visibility_timeout: float = VISIBILITY_TIMEOUT,
        max_length: int = MAX_LENGTH,
        when_full: str = REFUSE,
    ) -> None:
        self.backend = checked_backend(backend)
        self.name = check_key(name, "name")
        self.visibility_timeout = _check_seconds("visibility_timeout", visibility_timeout)
        if not self.visibility_timeout:
            raise InvalidValueError("visibility_timeout is 0; a message is hidden for a while after it was received")
        self.max_length, self.when_full = checked_bound(max_length, when_full)

    def push(self, message: Any) -> None:
        """Add one message at the end; see :meth:`push_many`. One round trip."""
        self.push_many([message])

    def push_many(self, messages: Iterable[Any]) -> None:
        """Add messages at the end, in their order, and wake those who wait; none at all is no error.

        All are checked before the first is sent. Raises :class:`QueueFull` if they do not fit, and stores none of them
        then; with ``when_full="drop_oldest"`` the oldest go instead, and of more than ``max_length`` messages the first
        of them. A bounded number of round trips, O(1) for each message.
        """
        what = f"a message of {self}"
        encoded = [encode_named(what, message) for message in checked_iterable(messages)]
        self.backend.check_open()
        if encoded:
            self._push(encoded)

    def receive(self, timeout: float = 0.0) -> tuple[str, Any]:
        """Return ``(receipt, message)`` of the oldest message that nobody else has, and hide it from others for the
        visibility timeout.

        If there is none, wait up to ``timeout`` seconds, and then raise :class:`NoMessagesException`. A server that
        goes away while this waits is waited for too; if it stays away, its :class:`StorageError` is raised at the
        end. Closing the backend ends the wait with a :class:`BackendClosedError`. One round trip if there is a
        message; who waits costs nothing until something is pushed (Q7).
        """
        return self.receive_many(1, timeout)[0]

    def receive_many(self, limit: int, timeout: float = 0.0) -> list[tuple[str, Any]]:
        """Return up to ``limit`` deliveries, oldest first, as :meth:`receive` does; it waits for the first one only.

        A damaged message among them is logged and left out. Raises :class:`StoredDataError`, which names the receipt,
        if there is no other; the messages after it are received next, and ``ack`` with that receipt removes it.
        """
        if check_position("limit", limit) == 0:
            raise InvalidValueError("limit is 0; receive 1 message or more")
        seconds = _check_seconds("timeout", timeout)
        self.backend.check_open()
        most = min(limit, MOST)
        found = self._receive(most) or (self._wait(most, seconds) if seconds else [])
        if not found:
            raise NoMessagesException(f"{self} has no message to give")
        return self._decoded(found)

    def _decoded(self, found: list[Delivery]) -> list[tuple[str, Any]]:
        decoded: list[tuple[str, Any]] = []
        damaged: StoredDataError | None = None
        for receipt, data in found:
            value, error = _decode(f"the message with the receipt {shown(receipt)} of {self}", data)
            if error is None:
                decoded.append((receipt, value))
            else:
                _logger.error("%s; ack() with its receipt removes it", error)
                damaged = damaged or error
        if damaged is not None and not decoded:
            raise damaged
        return decoded

    def ack(self, receipt: str) -> bool:
        """Remove a message that was received, and return whether it was there under this receipt (Q4).

        Raises :class:`InvalidTypeError` for what is no text. One round trip.
        """
        if not isinstance(receipt, str):
            raise InvalidTypeError(f"a receipt is the text that receive() gave, not {shown(receipt)}")
        self.backend.check_open()
        return self._ack(receipt)

    def pop(self) -> Any:
        """Receive the oldest message, acknowledge it, and return it: for whoever may lose it in a crash.

        Raises :class:`NoMessagesException` if there is none. Two round trips, or one where the store can.
        """
        receipt, message = self.receive()
        self.ack(receipt)
        return message

    def count(self) -> int:
        """Return how many messages the queue holds, received ones that were not acknowledged included. One round
        trip.
        """
        self.backend.check_open()
        return self._count()

    def flush(self) -> None:
        """Remove every message, received or not, and nothing else; an empty queue is no error. Receipts that were given
        before are unknown from then on. Costs in proportion to what it holds.
        """
        self.backend.check_open()
        self._flush()

    @abstractmethod
    def _push(self, messages: list[bytes]) -> None:
        """Add one or more messages at the end, or raise :class:`QueueFull`; then announce :attr:`topic`."""

    @abstractmethod
    def _receive(self, limit: int) -> list[Delivery]:
        """Return the oldest messages that nobody has, hidden from now on; an empty list if there are none."""

    @abstractmethod
    def _ack(self, receipt: str) -> bool:
        """Remove the message whose last receipt this is; return whether there was one. Any text may come."""

    @abstractmethod
    def _count(self) -> int:
        """Return how many messages there are."""

    @abstractmethod
    def _flush(self) -> None:
        """Remove every message."""

    def _seconds_to_next(self) -> float:
        """Return after how many seconds a message that others have may fall due; at most the visibility timeout."""
        return self.visibility_timeout

    def full_error(self, count: int) -> QueueFull:
        """Return the error for messages that do not fit."""
        return QueueFull(
            f"{self} holds {self.max_length} messages at most, and {count} more do not fit; receive "
            f"and acknowledge some, or pass when_full={shown(DROP_OLDEST)}"
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}(backend={self.backend!r}, name={shown(self.name)})"

    def __str__(self) -> str:
        name = self.name if len(self.name) <= _SHOWN_CHARACTERS else f"{self.name[:_SHOWN_CHARACTERS]}…"
        return f"the queue {shown(name)}"

    @property
    def topic(self) -> Topic:
        """What is announced after a push."""
        return Topic(self.backend.namespace, Kind.QUEUE, self.name)

    def _wait(self, limit: int, seconds: float) -> list[Delivery]:
        deadline = time.monotonic() + seconds
        woken = threading.Event()
        watch = self.backend.notifier().subscribe_kind(Kind.QUEUE, lambda keys: woken.set(), woken.set)
        with watch:
            watch.add([self.name])
            while True:
                woken.clear()
                found, pause = self._look(limit, deadline)
                left = deadline - time.monotonic()
                if found or left <= 0:
                    return found
                woken.wait(min(max(pause, _SHORTEST_PAUSE_SECONDS), left))

    def _look(self, limit: int, deadline: float) -> tuple[list[Delivery], float]:
        """Return what there is, and how long to wait before the next look."""
        try:
            found = self._receive(limit)
            return found, 0.0 if found else self._seconds_to_next()
        except (StorageUnavailableError, StorageTimeoutError):
            if time.monotonic() >= deadline:
                raise
            return [], _PAUSE_SECONDS


def _decode(what: str, data: object) -> tuple[Any, StoredDataError | None]:
    """Return the value of a message, or the error for one that is damaged."""
    if not isinstance(data, bytes):
        return None, StoredDataError(f"{what} is no bytes, but of type {type(data).__name__}")
    try:
        return decode_named(what, data), None
    except StoredDataError as error:
        return None, error


def checked_bound(max_length: int, when_full: str) -> tuple[int, str]:
    """Return how many messages a queue may hold and what a push does then, or raise: both as :class:`QueueStorage`
    says.
    """
    if not 1 <= check_position("max_length", max_length) <= MOST:
        raise InvalidValueError(f"max_length is {shown(max_length)}; it lies between 1 and {MOST}")
    if when_full not in (REFUSE, DROP_OLDEST):
        raise InvalidValueError(f"when_full is {shown(when_full)}; it is {shown(REFUSE)} or {shown(DROP_OLDEST)}")
    return max_length, when_full


def _check_seconds(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InvalidTypeError(f"{name} is a number of seconds, not {shown(value)} of type {type(value).__name__}")
    if not 0 <= value <= LONGEST_SECONDS or math.isnan(value):
        raise InvalidValueError(f"{name} is {shown(value)}; it lies between 0 and {LONGEST_SECONDS:g} seconds")
    return float(value)


def checked_queue(storage: Any) -> QueueStorage:
    """Return ``storage``, or raise :class:`InvalidTypeError` unless it is a backend's queue."""
    if not isinstance(storage, QueueStorage):
        raise InvalidTypeError(f"storage is what backend.queue(name) gives, not {shown(storage)}")
    return storage


def numbers_of(receipt: str, count: int) -> tuple[int, ...] | None:
    """Return the numbers that a receipt is made of, None if it is not that many, joined by ``-``."""
    parts = receipt.split("-")
    if len(parts) != count or not all(_NUMBER.fullmatch(part) for part in parts):
        return None
    return tuple(map(int, parts))
