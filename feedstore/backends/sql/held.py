"""Connections that a thread holds for the length of a call."""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, TypeVar

from feedstore.backends.sql.connection import Connection
from feedstore.backends.sql.connections import Connections, closed_store_error
from feedstore.backends.sql.database import Database
from feedstore.backends.sql.opener import Opener
from feedstore.forks import follow_forks

_Result = TypeVar("_Result")


class HeldConnections(Connections):
    """A connection for each outermost call. Subclasses say where it is taken from and given back to.

    In a forked child everything begins anew, and what the parent had is kept and never touched: to close a connection
    that is shared with the parent would end the parent's.
    """

    def __init__(self, opener: Opener, database: Database) -> None:
        self._opener = opener
        self._database = database
        self._thread = _Thread()
        self._closed = False
        self._inherited: list[object] = []
        hooks = type(self)
        follow_forks(self, hooks.before_fork, hooks.after_fork_in_parent, hooks.after_fork_in_child)

    def call(self, action: Callable[..., _Result], *arguments: Any) -> _Result:
        """Use the connection that this thread holds already, or take one for the call."""
        connection = self.acquire()
        try:
            return action(connection, *arguments)
        finally:
            self.release(connection)

    def acquire(self) -> Connection:
        """Return the connection that this thread holds already, or take one. The driver's errors are translated."""
        connection = self._thread.connection
        if connection is None:
            self.check_usable()
            try:
                connection = self._thread.connection = self.take()
            except self._database.driver_error as error:
                raise self._database.translated(error) from error
        connection.depth += 1
        return connection

    def release(self, connection: Connection) -> None:
        """Give the connection back with the outermost call."""
        connection.depth -= 1
        if connection.depth == 0:
            self._thread.connection = None
            self.give_back(connection)

    def check_usable(self) -> None:
        """Raise :class:`BackendClosedError` once closed."""
        if self._closed:
            raise closed_store_error()

    @abstractmethod
    def take(self) -> Connection:
        """Return a connection that works and that nobody else has."""

    @abstractmethod
    def give_back(self, connection: Connection) -> None:
        """Let go of what :meth:`take` returned, which may have been discarded since."""

    def open_one(self) -> Any:
        """A new one, or one of the engine's pool."""
        self.check_usable()
        return self._opener.open()

    def discard(self, connection: Connection) -> None:
        """Close a connection for good; whatever else lies idle is looked at before it is handed out."""
        connection.close(invalid=True)

    def before_fork(self) -> None:
        """Wait for the schema to be prepared, if that is under way."""
        self._opener.lock.acquire()

    def after_fork_in_parent(self) -> None:
        """Go on."""
        self._opener.lock.release()

    def after_fork_in_child(self) -> None:
        """Leave what was inherited alone."""
        self._opener.lock.release()
        self._inherited.append(self._thread)
        self._thread = _Thread()


class _Thread(threading.local):
    """What a thread holds."""

    connection: Connection | None = None
