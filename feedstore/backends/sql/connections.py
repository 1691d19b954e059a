"""Where connections come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, TypeVar

from feedstore.backends.sql.connection import Connection
from feedstore.errors import BackendClosedError

_Result = TypeVar("_Result")


class Connections(ABC):
    """The connections of one store. A thread that holds one and asks again gets the same one."""

    @abstractmethod
    def call(self, action: Callable[..., _Result], *arguments: Any) -> _Result:
        """Return ``action(connection, *arguments)`` with a connection that no other thread uses during the call."""

    def call_writing(self, action: Callable[..., _Result], *arguments: Any) -> _Result:
        """Do as :meth:`call` for an action that writes."""
        return self.call(action, *arguments)

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
