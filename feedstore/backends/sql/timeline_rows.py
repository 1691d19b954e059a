"""What a database does in its own way for the rows of timelines."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from feedstore.backends.sql.connection import Connection
from feedstore.backends.sql.timeline_part import FURTHEST, Part

if TYPE_CHECKING:
    from feedstore.backends.sql.store import Store

EntryRow = tuple[bytes, "bytes | None"]
"""An entry as it is stored: the id's bytes, and the payload or None."""
Header = tuple[int, int]
"""A timeline's number and its length."""


class TimelineRows(ABC):
    """Reads of many timelines, and all writes.

    A write runs inside a transaction and locks the header of every timeline that it changes before it looks at the
    entries. So ``length`` always equals the number of entries, whoever else writes. Timelines go about as their
    numbers, in the order of these; an ``array`` is what the database takes for a list of numbers.
    """

    def add_to_many(
        self,
        connection: Connection,
        namespace: str,
        keys: list[str],
        entries: list[EntryRow],
        max_length: int | None,
    ) -> int:
        """Add entries to every timeline, then trim each; return how many were new before trimming.

        Timelines that grow by the same number, or are too long by the same number, go in one statement each.
        """
        headers = self.headers_to_write(connection, namespace, keys)
        timelines = [timeline for timeline, _ in headers]
        array = self.array(timelines)
        held = self.insert(connection, timelines, array, entries)
        longest = FURTHEST if max_length is None else max_length
        longer: dict[int, list[int]] = defaultdict(list)
        for (length, new), grown in _grouped(headers, held, len(entries)).items():
            surplus = length + new - longest
            if surplus > 0:
                self.shorten(connection, longest, surplus, grown, self._array(grown, timelines, array))
            elif new:
                longer[new] += grown
        for new, grown in longer.items():
            self.lengthen(connection, new, self._array(grown, timelines, array))
        return len(headers) * len(entries) - sum(held.values())

    def remove_from_many(
        self, connection: Connection, namespace: str, keys: list[str], activity_ids: list[bytes]
    ) -> int:
        """Remove entries from every timeline; return how many were there."""
        timelines = [timeline for timeline, _ in self.headers(connection, namespace, keys)]
        removed = self.remove(connection, timelines, activity_ids) if timelines else {}
        shorter: dict[int, list[int]] = defaultdict(list)
        for timeline, count in removed.items():
            shorter[count].append(timeline)
        for count, affected in shorter.items():
            self.lengthen(connection, -count, self.array(affected))
        return sum(removed.values())

    def trim(self, connection: Connection, namespace: str, key: str, length: int) -> int:
        """Keep the newest entries and return how many went."""
        for timeline, before in self.headers(connection, namespace, [key]):
            if before > length:
                self.shorten(connection, length, before - length, [timeline], self.array([timeline]))
                return before - length
        return 0

    def delete(self, connection: Connection, namespace: str, key: str) -> None:
        """Remove a timeline and its header."""
        self.drop(connection, [timeline for timeline, _ in self.headers(connection, namespace, [key])])

    def _array(self, some: list[int], every: list[int], array: Any) -> Any:
        return array if len(some) == len(every) else self.array(some)

    @abstractmethod
    def fetch_slices(
        self, store: Store, namespace: str, keys: list[str], part: Part, parameters: tuple[Any, ...]
    ) -> list[list[tuple[Any, ...]]]:
        """Return the rows of the same part of every timeline, in the order of the keys, all of one state of the
        database.
        """

    @abstractmethod
    def fetch_pages(
        self, store: Store, namespace: str, keys: list[str], part: Part, parameters: tuple[Any, ...]
    ) -> list[tuple[bytes | None, list[tuple[Any, ...]]]]:
        """Return the newest id that a trim dropped with the rows of :meth:`fetch_slices`, for every timeline."""

    @abstractmethod
    def contained_statement(self, namespace: str, key: str, activity_ids: list[bytes]) -> tuple[str, Any]:
        """Return the statement, with its parameters, that reads those of the ids that a timeline holds."""

    @abstractmethod
    def lock(self, connection: Connection, namespace: str, keys: list[str], new_keys: list[str]) -> None:
        """Lock the headers of all timelines that a batch will write, before its first write; make those of
        ``new_keys`` that are missing.
        """

    @abstractmethod
    def array(self, timelines: list[int]) -> Any:
        """Return what the statements take for a list of timelines."""

    @abstractmethod
    def headers(self, connection: Connection, namespace: str, keys: list[str]) -> list[Header]:
        """Lock the headers that are there, and return them in the order of their numbers, in which all writers lock
        them and their entries lie.
        """

    @abstractmethod
    def headers_to_write(self, connection: Connection, namespace: str, keys: list[str]) -> list[Header]:
        """Do as :meth:`headers` for all keys, making headers that are missing."""

    @abstractmethod
    def keyed_headers_to_write(self, connection: Connection, namespace: str, keys: list[str]) -> dict[str, Header]:
        """Do as :meth:`headers_to_write` and return each key's header."""

    @abstractmethod
    def insert(
        self, connection: Connection, timelines: list[int], array: Any, entries: list[EntryRow]
    ) -> dict[int, int]:
        """Add entries to timelines, replacing payloads; return how many of them each held before, where it held any."""

    @abstractmethod
    def remove(self, connection: Connection, timelines: list[int], activity_ids: list[bytes]) -> dict[int, int]:
        """Remove entries from timelines; return how many each held, where it held any."""

    @abstractmethod
    def lengthen(self, connection: Connection, more: int, array: Any) -> None:
        """Add ``more``, which may be negative, to the lengths of timelines."""

    @abstractmethod
    def shorten(self, connection: Connection, length: int, surplus: int, timelines: list[int], array: Any) -> None:
        """Drop the oldest ``surplus`` entries of each timeline, set its length, and raise its floor above them."""

    @abstractmethod
    def drop(self, connection: Connection, timelines: list[int]) -> None:
        """Remove timelines and their headers."""

    @abstractmethod
    def drop_some(self, connection: Connection, namespace: str) -> bool:
        """Remove a bounded number of timelines; return whether any may be left."""


def _grouped(headers: list[Header], held: dict[int, int], added: int) -> dict[tuple[int, int], list[int]]:
    """Return the timelines by the length that they had and the number of their new entries."""
    groups: dict[tuple[int, int], list[int]] = defaultdict(list)
    for timeline, length in headers:
        groups[length, added - held[timeline] if timeline in held else added].append(timeline)
    return groups
