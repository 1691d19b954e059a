"""What a database does in its own way for activities: reading many by id, and bulk writes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from feedstore.backends.sql.connection import Connection


class ActivityWrites(ABC):
    """Bulk statements on ``feedstore_activity``. All run on a connection that is inside a transaction of its own."""

    @abstractmethod
    def add(self, connection: Connection, namespace_id: int, activities: list[tuple[bytes, bytes]]) -> int:
        """Store ``(id, data)``, replacing what is there; return how many ids were new."""

    @abstractmethod
    def remove(self, connection: Connection, namespace_id: int, activity_ids: list[bytes]) -> int:
        """Remove ids and return how many were there."""

    @abstractmethod
    def find_statement(self, namespace_id: int, activity_ids: list[bytes]) -> tuple[str, Any]:
        """Return the statement, with its parameters, that reads ``(id, data)`` of the ids that are there."""
