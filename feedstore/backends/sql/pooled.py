"""Connections out of the pool of an engine that was handed in."""

from __future__ import annotations

import threading
from contextlib import nullcontext

from sqlalchemy.pool import StaticPool

from feedstore.backends.sql.connection import Connection
from feedstore.backends.sql.database import Database
from feedstore.backends.sql.held import HeldConnections
from feedstore.backends.sql.opener import Opener
from feedstore.errors import ForkedClientError


class PooledConnections(HeldConnections):
    """A connection for each call, out of the engine's pool and back.

    The engine is its maker's: it is left open at the end, and refused in a forked child. If its pool has one connection
    for all, threads take turns.
    """

    def __init__(self, opener: Opener, database: Database) -> None:
        self._turn = threading.RLock() if isinstance(opener.engine.pool, StaticPool) else nullcontext()
        self._held: set[Connection] = set()
        self._forked = False
        super().__init__(opener, database)

    def check_usable(self) -> None:
        """Raise :class:`ForkedClientError` in a forked child too."""
        if self._forked:
            raise ForkedClientError(
                "the SQLAlchemy engine was handed in before this process was forked, and its connections are shared "
                "with the parent; make an engine and a backend in the child, or pass the URL instead"
            )
        super().check_usable()

    def take(self) -> Connection:
        """One of the pool's, set up for the call."""
        self._turn.__enter__()
        try:
            return self._take_one()
        except BaseException:
            self._turn.__exit__(None, None, None)
            raise

    def _take_one(self) -> Connection:
        connection = Connection()
        self._held.add(connection)
        try:
            while not self._works(connection):
                connection.close(invalid=True)
        except BaseException:
            self._held.discard(connection)
            connection.close(invalid=True)
            raise
        return connection

    def _works(self, connection: Connection) -> bool:
        """Open a connection for the call; return whether the server still has its other end."""
        connection.open(self._opener.open())
        # Before the server may be asked: outside autocommit that begins a transaction.
        self._database.take(connection)
        return not self._database.is_stale(connection.raw)

    def give_back(self, connection: Connection) -> None:
        """To the pool, as it was."""
        self._held.discard(connection)
        try:
            if connection.raw is not None:
                connection.close(invalid=not self._database.leave(connection))
        finally:
            self._turn.__exit__(None, None, None)

    def close(self) -> None:
        """The pool stays open."""
        self._closed = True

    def after_fork_in_child(self) -> None:
        """Refuse the engine from now on."""
        super().after_fork_in_child()
        self._inherited += [self._held, self._opener.engine.pool]
        self._held = set()
        self._forked = True
