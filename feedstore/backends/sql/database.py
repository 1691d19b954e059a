"""What differs between databases: how transactions begin and end, what errors mean, and how bulk writes are done."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Self

from feedstore.backends.sql.activity_rows import ActivityRows
from feedstore.backends.sql.connection import Connection
from feedstore.backends.sql.delivery_rows import DeliveryRows
from feedstore.backends.sql.message_rows import MessageRows
from feedstore.backends.sql.statements import Compiler
from feedstore.backends.sql.timeline_rows import TimelineRows
from feedstore.storage.notify.source import TopicSource

if TYPE_CHECKING:
    from feedstore.backends.sql.backend import SqlBackend
    from feedstore.backends.sql.store import Store


class Database(ABC):
    """One kind of database. Subclasses hold no connection and no state that a call changes."""

    insert: Callable[..., Any]
    in_autocommit: bool
    begin_read: str
    begin_write: str
    driver_error: type[Exception]
    activity_rows: ActivityRows
    timeline_rows: TimelineRows
    delivery_rows: DeliveryRows
    message_rows: MessageRows
    pushes = False
    """Whether :meth:`notify` reaches other processes, and this one."""

    def __init__(self, compiler: Compiler, label: str) -> None:
        self.compiler = compiler
        self.label = label

    def at(self, label: str) -> Self:
        """Return this kind of database at another place, which errors then name."""
        other = copy.copy(self)
        other.label = label
        return other

    @abstractmethod
    def make_source(self, backend: SqlBackend) -> TopicSource:
        """Return the source from which the dispatcher receives changes."""

    def notify(self, store: Store, namespace: str, digests: Sequence[bytes]) -> None:
        """Publish changes to every process; inside a transaction, when it commits. Only where :attr:`pushes`."""
        raise NotImplementedError

    @abstractmethod
    def take(self, connection: Connection) -> None:
        """Make a connection that was just opened ready for statements on the driver's own connection."""

    @abstractmethod
    def leave(self, connection: Connection) -> bool:
        """Undo what :meth:`take` ``changed``, before the pool gets the connection back; return whether it works."""

    @abstractmethod
    def is_stale(self, raw: Any) -> bool:
        """Return whether the server has closed a driver's connection that lay in the pool. Asks the server only where
        something seems to be wrong.
        """

    def guard(self, connection: Connection) -> AbstractContextManager[Any]:
        """Return a context manager that surrounds a transaction and ends it if an exception, which a signal handler may
        raise at any moment, kept :meth:`roll_back` from doing so.
        """
        return nullcontext()

    @abstractmethod
    def roll_back(self, connection: Connection) -> None:
        """End the transaction without its writes; none under way is no error."""

    @abstractmethod
    def translated(self, error: BaseException) -> Exception:
        """Return the error of feedstore's that a driver's error, or SQLAlchemy's around one, amounts to."""

    @abstractmethod
    def may_retry(self, error: Exception) -> bool:
        """Return whether the server undid the transaction and asks to run it again."""

    @abstractmethod
    def lacks_namespace(self, error: Exception) -> bool:
        """Return whether a write found no row of its namespace, which this process had made or seen."""

    @abstractmethod
    def is_lost(self, error: Exception) -> bool:
        """Return whether the error says that the connection is gone."""
