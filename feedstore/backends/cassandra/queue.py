"""The writes of one batch, while the storages' hooks put them into it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from feedstore.backends.cassandra.batches import Write


class WriteQueue:
    """The writes of a batch, in the order of their timestamps.

    ``changes`` tells, for each timeline, what an atomic batch does to it before a trim in it is worked out.
    """

    def __init__(self, is_atomic: bool) -> None:
        self.is_atomic = is_atomic
        self.writes: list[Write] = []
        self.changes: dict[str, list[Any]] = {}
        self.afterwards: list[Callable[[], None]] = []

    def add(self, writes: Iterable[Write]) -> None:
        """Queue writes."""
        self.writes.extend(writes)

    def note(self, key: str, change: Any) -> None:
        """Remember what happens to a timeline; only an atomic batch asks."""
        if self.is_atomic:
            self.changes.setdefault(key, []).append(change)

    def taken(self) -> list[Write]:
        """Return the writes and forget them."""
        writes, self.writes = self.writes, []
        return writes
