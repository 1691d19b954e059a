"""Connections out of an engine's pool: for servers, and for engines that were handed in."""

from __future__ import annotations

import os
import threading
import weakref
from contextlib import nullcontext
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.pool import StaticPool

from feedstore.backends.sql.connection import Connection
from feedstore.backends.sql.connections import Connections, closed_store_error
from feedstore.backends.sql.database import Database
from feedstore.backends.sql.opener import Opener
from feedstore.errors import ForkedClientError
from feedstore.forks import follow_forks


class PooledConnections(Connections):
    """A connection for each call, out of the engine's pool and back.

    In a forked child the engine gets a new pool, and what the parent had is kept and never touched: to close a
    connection that is shared with the parent would end the parent's. An engine that was handed in (``owned`` is False)
    is its maker's: it is left open at the end, and refused in a forked child. If its pool has one connection for all,
    threads take turns.
    """

    def __init__(self, opener: Opener, database: Database, owned: bool) -> None:
        self._opener = opener
        self._database = database
        self._owned = owned
        self._thread = _Thread()
        self._held: set[Connection] = set()
        self._inherited: list[object] = []
        self._turn = threading.RLock() if isinstance(opener.engine.pool, StaticPool) else nullcontext()
        self._closed = self._forked = False
        self._process = [os.getpid()]
        if owned:
            weakref.finalize(self, _dispose, opener.engine, self._process)
        hooks = PooledConnections
        follow_forks(self, hooks.before_fork, hooks.after_fork_in_parent, hooks.after_fork_in_child)

    def acquire(self) -> Connection:
        """Return the connection that this thread holds already, or else one of the pool's."""
        connection = self._thread.connection
        if connection is None:
            self._check_usable()
            self._turn.__enter__()
            try:
                connection = self._thread.connection = self._take_one()
            except BaseException:
                self._turn.__exit__(None, None, None)
                raise
        connection.depth += 1
        return connection

    def _check_usable(self) -> None:
        if self._forked:
            raise ForkedClientError(
                "the SQLAlchemy engine was handed in before this process was forked, and its connections are shared "
                "with the parent; make an engine and a backend in the child, or pass the URL instead"
            )
        if self._closed:
            raise closed_store_error()

    def _take_one(self) -> Connection:
        connection = Connection()
        connection.open(self._opener.open())
        self._held.add(connection)
        try:
            while self._database.is_stale(connection.raw):
                connection.close(invalid=True)
                connection.open(self._opener.open())
            self._database.take(connection)
        except BaseException:
            self._held.discard(connection)
            connection.close(invalid=True)
            raise
        return connection

    def release(self, connection: Connection) -> None:
        """Give the connection back to the pool with the outermost call."""
        connection.depth -= 1
        if connection.depth == 0:
            self._thread.connection = None
            try:
                self._let_go(connection)
            finally:
                self._turn.__exit__(None, None, None)

    def _let_go(self, connection: Connection) -> None:
        self._held.discard(connection)
        if connection.raw is not None:
            works = self._database.leave(connection)
            # A call that was under way when the store was closed gives its connection back to nobody.
            connection.close(invalid=not works or (self._closed and self._owned))

    def open_one(self) -> Any:
        """One of the pool's, or a new one."""
        self._check_usable()
        return self._opener.open()

    def discard(self, connection: Connection) -> None:
        """Close a connection for good; whatever else lies in the pool is looked at before it is handed out."""
        connection.close(invalid=True)

    def close(self) -> None:
        """Close the pool, unless it was handed in. Calls that are under way close their connections when they end."""
        self._closed = True
        if self._owned:
            self._opener.engine.dispose()

    def before_fork(self) -> None:
        """Wait for the schema to be prepared, if that is under way."""
        self._opener.lock.acquire()

    def after_fork_in_parent(self) -> None:
        """Go on."""
        self._opener.lock.release()

    def after_fork_in_child(self) -> None:
        """Leave what was inherited alone, and begin with an empty pool."""
        self._opener.lock.release()
        self._inherited += [self._held, self._opener.engine.pool]
        self._held = set()
        self._thread = _Thread()
        if self._owned:
            self._opener.engine.dispose(close=False)
            self._process[0] = os.getpid()
        else:
            self._forked = True


class _Thread(threading.local):
    """What a thread holds."""

    connection: Connection | None = None


def _dispose(engine: Engine, process: list[int]) -> None:
    # In a child that was forked past Python the pool is the parent's.
    if process == [os.getpid()]:
        engine.dispose()
