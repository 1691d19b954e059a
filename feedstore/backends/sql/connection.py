"""Connections: one connection of the driver's, how its kind of driver behaves, and how a call gets a connection.

Nothing here counts connections in a way that a call has to undo, and no process uses the state that another process
left in its memory: a signal handler may raise between any two steps, and a process may be forked without Python's
hooks.
"""

from __future__ import annotations

import copy
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from os import getpid
from typing import Any, Self, TypeVar

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError, StatementError

from feedstore.backends.sql.schema.prepare import prepare_schema
from feedstore.errors import FeedstoreError

_Result = TypeVar("_Result")
Action = Callable[["Connection", Any, Any], _Result]
"""A function of a connection and two further arguments."""


class Connection:
    """A driver's connection while it is open.

    Attributes:
        execute, executemany: The driver's own bound methods, so that a hot read calls nothing in between. On PostgreSQL
            every ``execute`` returns the same ``cursor``: read its rows before the next call.
        in_autocommit: The driver begins no transactions, so that a statement outside a transaction commits itself.
        in_transaction: The thread that holds the connection is inside a transaction, which further writes join.
        shared: Several writes have the transaction together.
        lock: A call holds it for as long as it uses the connection.
        poll: The poll object that watches the socket of a server's connection.
        changed: The driver's connection must be reset before it goes back to an engine's pool.
    """

    __slots__ = (
        "__weakref__",
        "changed",
        "closed",
        "cursor",
        "execute",
        "executemany",
        "in_autocommit",
        "in_transaction",
        "lock",
        "poll",
        "pooled",
        "raw",
        "shared",
    )

    execute: Callable[..., Any]
    executemany: Callable[..., Any]

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.in_transaction = self.in_autocommit = self.shared = self.changed = self.closed = False
        self.pooled: Any = None
        self.cursor: Any = None
        self.poll: Any = None
        self.raw: Any = None

    def open(self, pooled: Any) -> None:
        """Begin to use a connection of an engine's pool."""
        self.pooled = pooled
        self._use(pooled.driver_connection)

    def open_alone(self, pooled: Any) -> None:
        """Begin to use the driver's connection inside a connection of an engine's pool, and detach it from the pool.

        The pool would end the connection's transaction when nothing refers to it any more, in a forked child too.
        """
        raw = pooled.driver_connection
        pooled.detach()
        self._use(raw)

    def _use(self, raw: Any) -> None:
        self.execute = raw.execute
        self.executemany = getattr(raw, "executemany", self.execute)
        self.in_transaction = self.in_autocommit = self.changed = self.closed = False
        # Last: a connection with a ``raw`` is ready, wherever a signal handler raised.
        self.raw = raw

    def close(self, invalid: bool = False) -> None:
        """Give the connection back to the pool, or close it if it is ``invalid``. A second call does nothing."""
        # Close before release: if a signal handler raises in between, the next attempt closes the connection.
        if self.pooled is not None:
            if invalid and self.pooled.dbapi_connection is not None:
                self.pooled.invalidate()
            self.pooled.close()
            self.pooled = self.cursor = self.raw = None
        elif self.raw is not None:
            self.raw.close()
            self.cursor = self.raw = None
        self.closed = True


class Driver(ABC):
    """The behaviour of one kind of driver: its transactions, and the meaning of its errors.

    Subclasses hold no connection and no state that a call changes.
    """

    begin_read: str
    begin_write: str
    error: type[Exception]
    """The base class of the driver's errors."""

    def __init__(self, label: str) -> None:
        self.label = label

    def at(self, label: str) -> Self:
        """Return the same kind of driver for another place, which errors then name."""
        other = copy.copy(self)
        other.label = label
        return other

    @abstractmethod
    def take(self, connection: Connection) -> None:
        """Prepare a connection that was just opened for statements on the driver's own connection."""

    @abstractmethod
    def leave(self, connection: Connection) -> bool:
        """Undo the changes of :meth:`take` before a pool gets the connection back; return whether it still works."""

    @abstractmethod
    def is_stale(self, connection: Connection) -> bool:
        """Return whether the server has closed an idle connection. Ask the server only if something seems wrong."""

    def guard(self, connection: Connection) -> AbstractContextManager[Any]:
        """Return a context manager that ends the transaction inside it if :meth:`roll_back` could not.

        A signal handler may raise at any moment, also just before :meth:`roll_back`.
        """
        return nullcontext()

    @abstractmethod
    def roll_back(self, connection: Connection) -> None:
        """End the transaction without its writes. Without a transaction it does nothing."""

    @abstractmethod
    def translated(self, error: BaseException) -> FeedstoreError:
        """Return feedstore's error for an error of the driver's, or of SQLAlchemy's."""

    @abstractmethod
    def may_retry(self, error: Exception) -> bool:
        """Return whether the server undid the transaction and asks to run it again."""

    @abstractmethod
    def lacks_namespace(self, error: Exception) -> bool:
        """Return whether a write found no row of its namespace, though this process had made or seen the row."""

    @abstractmethod
    def is_lost(self, error: Exception) -> bool:
        """Return whether the error says that the connection is gone."""


class Opener:
    """Opens connections through an engine, and prepares the schema before the first one.

    Args:
        engine: The engine.
        driver: Translates the errors.
        mode: The mode of :func:`~feedstore.backends.sql.schema.prepare_schema`.
        set_up: Called once with the engine, after the schema was prepared.
    """

    def __init__(
        self, engine: Engine, driver: Driver, mode: str | None, set_up: Callable[[Engine], None] | None = None
    ) -> None:
        self.engine = engine
        self._driver = driver
        self._mode = mode
        self._set_up = set_up
        self._prepared = False
        # One for each process: a child may be forked while a thread of its parent holds the parent's.
        self._locks: dict[int, threading.Lock] = {}

    def open(self) -> Any:
        """Return a connection of the engine's pool. The driver's errors are translated."""
        try:
            if not self._prepared:
                self._prepare()
            return self.engine.raw_connection()
        except DBAPIError as error:
            # SQLAlchemy's own exception repeats the statement and adds nothing to the driver's message.
            raise self._driver.translated(error.orig or error) from error.orig
        except StatementError as error:
            # SQLAlchemy wraps an exception that a signal handler raised inside a statement.
            raise (error.orig or error) from None
        except (SQLAlchemyError, self._driver.error) as error:
            raise self._driver.translated(error) from error

    def _prepare(self) -> None:
        with self._locks.setdefault(getpid(), threading.Lock()):
            if self._prepared:
                return
            prepare_schema(self.engine, self._mode)
            if self._set_up is not None:
                self._set_up(self.engine)
            self._prepared = True


class Connections(ABC):
    """The source of connections for the calls on one database.

    A thread that makes a call inside another call uses the same connection.
    """

    @abstractmethod
    def call(self, action: Action[_Result], first: Any, second: Any) -> _Result:
        """Return ``action(connection, first, second)`` with a connection that no other thread uses during the call.

        Every read and write passes here, and a fixed number of arguments costs less than any number.
        """

    def call_writing(self, action: Action[_Result], first: Any, second: Any) -> _Result:
        """Do as :meth:`call` for an action that writes."""
        return self.call(action, first, second)

    @abstractmethod
    def fetch(self, text: str, parameters: Any) -> list[Any]:
        """Return the rows of one reading statement. If the connection was lost, repeat the read once on another one.

        Every short read passes here, so it translates the driver's errors itself.
        """

    @abstractmethod
    def discard(self, connection: Connection) -> None:
        """Close a connection that the caller holds and that does not work any more."""

    @abstractmethod
    def open_one(self) -> Any:
        """Return a connection of the engine's pool that :meth:`close` does not know of."""

    @abstractmethod
    def close(self) -> None:
        """Close the connections that were opened here, after the calls that are under way."""
