"""What a database does in its own way for timelines."""

from __future__ import annotations

from abc import ABC, abstractmethod

from feedstore.backends.sql.connection import Connection

# Databases count in signed 64 bits; nothing that is stored reaches this far.
FURTHEST: int = 2**62
EntryRow = tuple[bytes, "bytes | None"]
"""An entry as it is stored: the id's bytes, and the payload or None."""


class TimelineWrites(ABC):
    """Writes of timelines. All run on a connection that is inside a transaction, and all lock the header of every
    timeline that they change, so that ``length`` always equals the number of entries.
    """

    @abstractmethod
    def lock(self, connection: Connection, namespace_id: int, keys: list[str]) -> None:
        """Lock the headers of timelines that are about to be written, in the one order that all writers keep."""

    @abstractmethod
    def add(self, connection: Connection, namespace_id: int, key: str, entries: list[EntryRow]) -> int:
        """Add entries to a timeline, replacing payloads; return how many were new."""

    @abstractmethod
    def add_to_many(
        self,
        connection: Connection,
        namespace_id: int,
        keys: list[str],
        entries: list[EntryRow],
        max_length: int | None,
    ) -> int:
        """Add entries to every timeline, then trim each; return how many were new before trimming."""

    @abstractmethod
    def remove_from_many(
        self, connection: Connection, namespace_id: int, keys: list[str], activity_ids: list[bytes]
    ) -> int:
        """Remove entries from every timeline; return how many were there."""

    @abstractmethod
    def trim(self, connection: Connection, namespace_id: int, key: str, length: int) -> int:
        """Keep the newest entries and return how many went."""

    @abstractmethod
    def delete(self, connection: Connection, namespace_id: int, key: str) -> None:
        """Remove a timeline and its header."""

    @abstractmethod
    def delete_some(self, connection: Connection, namespace_id: int) -> bool:
        """Remove a bounded number of timelines; return whether any was left to remove."""
