"""What a database does in its own way for the rows of messages."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, NamedTuple

from feedstore.backends.sql.connection import Connection
from feedstore.storage.notify.registry import Topic

if TYPE_CHECKING:
    from feedstore.backends.sql.store import Store


class QueueKey(NamedTuple):
    """What a queue is found by."""

    namespace: str
    name: bytes


class MessageRow(NamedTuple):
    """A message as it was given: its queue, its place, the number of the delivery, and its bytes."""

    queue_id: int
    position: int
    delivery: int
    data: bytes


class MessageRows(ABC):
    """Giving messages and taking them away, without two consumers getting in each other's way."""

    @abstractmethod
    def add(self, connection: Connection, queue_id: int, first: int, messages: list[bytes]) -> None:
        """Insert messages at the positions from ``first`` on, given to whoever comes."""

    def append(self, store: Store, queue: QueueKey, messages: list[bytes], most: int, topic: Topic) -> bool | None:
        """Add messages at the end and notify, in one statement; return whether they fitted. None, with nothing done,
        where it takes a transaction.
        """
        return None

    @abstractmethod
    def receive(self, store: Store, queue: QueueKey, limit: int, hidden: float) -> list[MessageRow]:
        """Return the oldest messages that nobody has, and hide them for so many seconds."""

    @abstractmethod
    def remove(self, store: Store, queue: QueueKey, row: tuple[int, int, int]) -> bool:
        """Remove the message of a queue's number, a position and a delivery; return whether it was there."""

    @abstractmethod
    def now(self, store: Store) -> float:
        """Return the time by the clock that hides messages, in seconds since 1970."""
