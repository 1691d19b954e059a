"""The transaction of a batch: the writes that the storages' hooks have added to it."""

from __future__ import annotations

from collections.abc import Iterable

from feedstore.backends.cassandra.batches import Write
from feedstore.backends.cassandra.changes import Change
from feedstore.storage.transaction import Transaction


class CassandraTransaction(Transaction):
    """The writes of a batch, in the order of their timestamps.

    ``changes`` holds, for each timeline by its partition key, what an atomic batch does to it before it trims it;
    ``trimmed`` are the timelines, by namespace, that fan-outs count as trimmed, which they are not before the batch is
    sent.
    """

    __slots__ = ("_named", "changes", "is_atomic", "trimmed", "writes")

    def __init__(self, is_atomic: bool) -> None:
        self.is_atomic = is_atomic
        self.writes: list[Write] = []
        self.changes: dict[bytes, list[Change]] = {}
        self.trimmed: list[tuple[str, list[str]]] = []
        self._named: set[object] = set()

    def add(self, writes: Iterable[Write]) -> None:
        """Add writes."""
        self.writes.extend(writes)

    def note(self, name: bytes, change: Change) -> None:
        """Remember a change of a timeline, for the trims of an atomic batch."""
        if self.is_atomic:
            self.changes.setdefault(name, []).append(change)

    def taken(self) -> list[Write]:
        """Return the writes and forget them."""
        writes, self.writes = self.writes, []
        return writes

    def is_new(self, name: object) -> bool:
        """Return whether a batch meets a name for the first time; only then need it be put into the directory."""
        if name in self._named:
            return False
        self._named.add(name)
        return True
