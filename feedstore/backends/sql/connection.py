"""One connection of the driver's, as the statements use it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any


class Connection:
    """A driver's connection while it is open.

    ``execute`` and ``executemany`` are the driver's own bound methods, so that a hot read pays for nothing between.
    ``in_transaction`` says that the thread that holds the connection is inside a transaction, which further writes
    join. ``lock`` is held for the length of a call by whoever uses the connection.
    """

    __slots__ = ("execute", "executemany", "in_transaction", "lock", "pooled", "raw")

    execute: Callable[..., Any]
    executemany: Callable[..., Any]

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.in_transaction = False
        self.pooled: Any = None
        self.raw: Any = None

    def open(self, pooled: Any, execute: Callable[..., Any] | None = None) -> None:
        """Begin to use what the engine's pool handed out."""
        self.pooled = pooled
        self.raw = pooled.driver_connection
        self.execute = execute or self.raw.execute
        self.executemany = self.raw.executemany if execute is None else _no_executemany
        self.in_transaction = False

    def close(self) -> None:
        """Give the connection back to the pool; closing twice is no error."""
        pooled, self.pooled, self.raw = self.pooled, None, None
        self.in_transaction = False
        if pooled is not None:
            pooled.close()


def _no_executemany(*arguments: Any) -> Any:
    raise AssertionError("this driver sends arrays in one statement instead")
