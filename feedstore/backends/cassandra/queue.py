"""The writes of one batch, while the storages' hooks put them into it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from feedstore.backends.cassandra.batches import Write


class WriteQueue:
    """The writes of a batch, in the order of their timestamps.

    ``changes`` tells, for each timeline by its partition key, what an atomic batch does to it before it trims it;
    ``trimmed`` are the keys of those that fan-outs count as trimmed, which they are not before the batch is sent.
    """

    def __init__(self, is_atomic: bool) -> None:
        self.is_atomic = is_atomic
        self.writes: list[Write] = []
        self.changes: dict[bytes, list[Any]] = {}
        self.trimmed: list[str] = []
        self._named: set[object] = set()

    def add(self, writes: Iterable[Write]) -> None:
        """Queue writes."""
        self.writes.extend(writes)

    def note(self, name: bytes, change: Any) -> None:
        """Remember what happens to a timeline; only an atomic batch asks."""
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
