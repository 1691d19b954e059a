"""What a database does in its own way for the rows of activities."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from feedstore.backends.sql.connection import Connection


class ActivityRows(ABC):
    """Reading many by id, and bulk writes. A write runs on a connection that is inside a transaction."""

    @abstractmethod
    def add(self, connection: Connection, namespace: str, activities: list[tuple[bytes, bytes]]) -> int:
        """Store ``(id, data)``, replacing what is there; return how many ids were new."""

    @abstractmethod
    def remove_statement(self, namespace: str, activity_ids: list[bytes]) -> tuple[str, Any]:
        """Return the statement, with its parameters, that removes ids."""

    @abstractmethod
    def find_statement(self, namespace: str, activity_ids: list[bytes]) -> tuple[str, Any]:
        """Return the statement, with its parameters, that reads ``(id, data)`` of the ids that are there."""
