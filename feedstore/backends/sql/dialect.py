"""The dialects of SQL: how each database reads and writes many rows, and how it announces changes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

from feedstore.backends.sql.compiler import Compiler
from feedstore.backends.sql.connection import Connection
from feedstore.backends.sql.database import Database
from feedstore.backends.sql.document_sql import DocumentDialect
from feedstore.backends.sql.heads import Heads
from feedstore.backends.sql.shared_statements import Statements
from feedstore.backends.sql.timeline_writer import DeliveryWriter, TimelineWriter
from feedstore.forks import unlocked_property
from feedstore.storage.notify.registry import Kind, Topic
from feedstore.storage.notify.source import TopicSource

StatesReader = Callable[[str, Kind, list[str]], Mapping[str, Any]]
"""Returns the states of a namespace's timelines or queues, by key: ``newest_ids_in`` of a backend."""


class Dialect(ABC):
    """The statements of one kind of database, which all backends of a process share.

    Subclasses hold no connection, and no state that a call changes besides the cache of compiled statements.
    """

    activities: ActivityRows
    timelines: TimelineWriter
    deliveries: DeliveryWriter
    messages: MessageRows
    documents: DocumentDialect
    pushes = False
    """Whether :meth:`notify` reaches other processes, and this one."""
    flush_setting: str
    """The statement that returns whether commits are flushed."""
    flush_advice: str
    """The advice if they are not."""

    def __init__(self, compiler: Compiler) -> None:
        self.compiler = compiler
        self.statements = Statements(compiler)

    @unlocked_property
    def heads(self) -> Heads:
        """The statements that polling needs. They are compiled at their first use, because PostgreSQL seldom polls."""
        return Heads(self.compiler)

    @abstractmethod
    def make_source(self, database: Database, read_states: StatesReader) -> TopicSource:
        """Return the source from which the dispatcher receives changes."""

    def notify(self, database: Database, namespace: str, digests: Sequence[bytes]) -> None:
        """Publish changes to every process. Inside a transaction they are published by its commit.

        Only a dialect that :attr:`pushes` has this method.
        """
        raise NotImplementedError


class ActivityRows(ABC):
    """The rows of activities: reads of many ids, and bulk writes. A write runs inside a transaction."""

    finds_in_order: ClassVar[bool] = False

    @abstractmethod
    def add(self, connection: Connection, namespace: str, activities: list[tuple[bytes, bytes]]) -> int:
        """Store ``(id, data)`` and replace the data of stored ids; return how many ids were new."""

    @abstractmethod
    def remove_statement(self, namespace: str, activity_ids: list[bytes]) -> tuple[str, Any]:
        """Return the statement, with its parameters, that removes ids."""

    @abstractmethod
    def find_statement(self, namespace: str, activity_ids: list[bytes]) -> tuple[str, Any]:
        """Return the statement, with its parameters, that reads ``(id, data)`` of the ids that are stored.

        If :attr:`finds_in_order` is True, it reads ``(data,)`` of each id in their order, and NULL for an id that is
        not stored.
        """


class QueueKey(NamedTuple):
    """The namespace and the name of a queue."""

    namespace: str
    name: bytes


class ReceivedMessage(NamedTuple):
    """A message as a consumer receives it: its queue, its position, the number of the delivery, and its bytes."""

    queue_id: int
    position: int
    delivery: int
    data: bytes


class MessageRows(ABC):
    """The rows of messages. Two consumers never receive the same delivery, and do not wait for each other."""

    @abstractmethod
    def add(self, connection: Connection, queue_id: int, first: int, messages: list[bytes]) -> None:
        """Insert messages at the positions from ``first`` on, visible to every consumer."""

    def append(
        self, database: Database, queue: QueueKey, messages: list[bytes], most: int, topic: Topic
    ) -> bool | None:
        """Add messages at the end and notify, in one statement.

        Returns:
            Whether they fitted; None, with nothing done, if this dialect needs a transaction.
        """
        return None

    @abstractmethod
    def receive(self, database: Database, queue: QueueKey, limit: int, hidden: float) -> list[ReceivedMessage]:
        """Return the oldest visible messages, and hide them for ``hidden`` seconds."""

    @abstractmethod
    def remove(self, database: Database, queue: QueueKey, row: tuple[int, int, int]) -> bool:
        """Remove the message with a queue's number, a position and a delivery; return whether it was there."""

    @abstractmethod
    def now(self, database: Database) -> float:
        """Return the time of the clock that hides messages, in seconds since 1970."""
