"""The transaction of a batch: its writes, and the changes of timelines that a later trim in the batch applies."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from feedstore.backends.cassandra.batches import Write
from feedstore.storage.session import Transaction


class Added(NamedTuple):
    """Entries were added."""

    ids: Collection[int]


class Removed(NamedTuple):
    """Entries were removed."""

    ids: Collection[int]


class Dropped(NamedTuple):
    """A trim dropped all entries up to an id."""

    highest: int


class Deleted(NamedTuple):
    """The timeline was deleted, and a new epoch began."""

    epoch: int


Change = Added | Removed | Dropped | Deleted


def most_removed(changes: Collection[Change]) -> int:
    """Return the number of entries that removals of single entries may have removed."""
    return sum(len(change.ids) for change in changes if isinstance(change, Removed))


def applied(ids: Collection[int], epoch: int, changes: Collection[Change]) -> tuple[list[int], int]:
    """Apply changes, in their order, to a timeline's newest ids and epoch. Return both, with the ids newest first."""
    present = set(ids)
    for change in changes:
        if isinstance(change, Added):
            present |= set(change.ids)
        elif isinstance(change, Removed):
            present -= set(change.ids)
        elif isinstance(change, Dropped):
            present = {one for one in present if one > change.highest}
        else:
            present, epoch = set(), change.epoch
    return sorted(present, reverse=True), epoch


class CassandraTransaction(Transaction):
    """The writes of a batch, in the order of their timestamps.

    Attributes:
        is_atomic: Whether the batch is atomic.
        writes: The collected writes.
        changes: The changes of each timeline in an atomic batch, by partition key. Later trims in the batch apply them.
        trimmed: The ``(namespace, keys)`` whose trims the fan-outs have counted. If the batch is not sent, the counts
            must be forgotten.
    """

    __slots__ = ("_named", "changes", "is_atomic", "trimmed", "writes")

    def __init__(self, is_atomic: bool) -> None:
        self.is_atomic = is_atomic
        self.writes: list[Write] = []
        self.changes: dict[bytes, list[Change]] = {}
        self.trimmed: list[tuple[str, list[str]]] = []
        self._named: set[object] = set()

    def add(self, writes: Iterable[Write]) -> None:
        """Add writes to the batch."""
        self.writes.extend(writes)

    def note(self, name: bytes, change: Change) -> None:
        """Record a change of a timeline for later trims. A batch that is not atomic records nothing."""
        if self.is_atomic:
            self.changes.setdefault(name, []).append(change)

    def taken(self) -> list[Write]:
        """Remove and return the collected writes."""
        writes, self.writes = self.writes, []
        return writes

    def is_new(self, name: object) -> bool:
        """Return True for the first call with a name in this batch: the name must then be registered."""
        if name in self._named:
            return False
        self._named.add(name)
        return True
