"""The transaction of a batch: the writes that the hooks of storages add to it."""

from __future__ import annotations

from collections.abc import Iterable

from feedstore.backends.cassandra.batches import Write
from feedstore.backends.cassandra.changes import Change
from feedstore.storage.session import Transaction


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
