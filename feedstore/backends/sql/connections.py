"""Where connections come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from feedstore.backends.sql.connection import Connection
from feedstore.errors import BackendClosedError


class Connections(ABC):
    """The connections of one store. A thread that holds one and asks again gets the same one."""

    @abstractmethod
    def acquire(self) -> Connection:
        """Return a connection that no other thread uses until :meth:`release`."""

    @abstractmethod
    def release(self, connection: Connection) -> None:
        """Give back what :meth:`acquire` returned, once for each call."""

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Hold a connection to write with."""
        connection = self.acquire()
        try:
            yield connection
        finally:
            self.release(connection)

    @abstractmethod
    def discard(self, connection: Connection) -> None:
        """See to it that a connection that is held, and that no longer works, is never handed out again."""

    @abstractmethod
    def open_one(self) -> Any:
        """Return a connection of the engine's pool that :meth:`close` does not know of."""

    @abstractmethod
    def close(self) -> None:
        """Close what was opened here, waiting for calls that are under way."""


def closed_store_error() -> BackendClosedError:
    """Return the error for a call that was under way when the store was closed."""
    return BackendClosedError("the backend was closed during the call; connect again to go on")
