"""One connection of the driver's, as the statements use it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any


class Connection:
    """A driver's connection while it is open.

    ``execute`` and ``executemany`` are the driver's own bound methods, so that a hot read pays for nothing between;
    what ``execute`` returns is read before the next call, for on PostgreSQL it is the one ``cursor`` of all.
    ``in_transaction`` says that the thread that holds the connection is inside a transaction, which further writes
    join; ``shared`` that several writes have the transaction together. A call holds ``lock`` for as long
    as it uses the connection. ``changed`` says that the driver's connection must be reset before the pool gets it.
    """

    __slots__ = (
        "__weakref__",
        "changed",
        "closed",
        "cursor",
        "execute",
        "executemany",
        "in_transaction",
        "lock",
        "pooled",
        "raw",
        "shared",
    )

    execute: Callable[..., Any]
    executemany: Callable[..., Any]

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.in_transaction = self.shared = self.changed = self.closed = False
        self.pooled: Any = None
        self.cursor: Any = None
        self.raw: Any = None

    def open(self, pooled: Any) -> None:
        """Begin to use what the engine's pool handed out."""
        self.pooled = pooled
        self._use(pooled.driver_connection)

    def open_alone(self, pooled: Any) -> None:
        """Begin to use the driver's connection that the engine's pool handed out, and let the pool forget it.

        The pool would end its transaction when nothing refers to it any more, in a forked child too.
        """
        raw = pooled.driver_connection
        pooled.detach()
        self._use(raw)

    def _use(self, raw: Any) -> None:
        self.execute = raw.execute
        self.executemany = getattr(raw, "executemany", self.execute)
        self.in_transaction = self.changed = self.closed = False
        # Last: a connection with a ``raw`` is ready, wherever a signal handler raised.
        self.raw = raw

    def close(self, invalid: bool = False) -> None:
        """Give the connection back to the pool, or close it if it is ``invalid``. Again is no error."""
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
