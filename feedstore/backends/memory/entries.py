"""The entries of one timeline in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from feedstore.backends.memory.journal import Journal
from feedstore.backends.memory.sorted_keys import SortedKeys
from feedstore.storage.bounds import Bounds

_EMPTY = b""


class Entries:
    """Ids in ascending order, the payloads of those that have one, and the newest id that trimming dropped.

    Timelines of references, the common kind, keep no payload at all: the table of payloads is made for the first one.
    """

    __slots__ = ("ids", "newest_dropped", "payloads")

    def __init__(self) -> None:
        self.ids = SortedKeys()
        self.payloads: dict[int, Any] = {}
        self.newest_dropped: int | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def add(self, journal: Journal, serialized: Mapping[int, Any]) -> int:
        """Add ``{id: payload}`` and return how many ids were new. O(log n) for each."""
        ids = self.ids
        new = [activity_id for activity_id in serialized if activity_id not in ids] if ids else list(serialized)
        if new:
            journal.record((ids.discard_all, new))
            ids.update(new)
        self._keep_payloads(journal, serialized)
        return len(new)

    def add_one(self, journal: Journal, activity_id: int, payload: Any) -> int:
        """Add one entry, as :meth:`add` does: the short way that a fan-out takes."""
        ids = self.ids
        is_new = activity_id not in ids
        if is_new:
            journal.record((ids.discard, activity_id))
            ids.add(activity_id)
        if self.payloads or payload != _EMPTY:
            self._keep_payloads(journal, {activity_id: payload})
        return is_new

    def _keep_payloads(self, journal: Journal, serialized: Mapping[int, Any]) -> None:
        payloads = self.payloads
        for activity_id, payload in serialized.items():
            if payload.__class__ is not bytes or payload:
                journal.set_item(payloads, activity_id, payload)
            elif payloads:
                journal.remove_item(payloads, activity_id)

    def remove(self, journal: Journal, activity_ids: Iterable[int]) -> int:
        """Remove ids and return how many were there. O(log n) for each."""
        ids = self.ids
        present = [activity_id for activity_id in activity_ids if activity_id in ids]
        if present:
            journal.record((ids.add_missing, present))
            ids.discard_all(present)
            if self.payloads:
                journal.remove_items(self.payloads, present)
        return len(present)

    def trim(self, journal: Journal, length: int) -> int:
        """Keep the newest ``length`` and return how many went."""
        ids = self.ids
        surplus = len(ids) - length
        if surplus <= 0:
            return 0
        dropped = ids.slice(0, surplus)
        journal.record((ids.add_missing, dropped))
        ids.drop_first(surplus)
        if self.newest_dropped is None or dropped[-1] > self.newest_dropped:
            journal.replace(self, "newest_dropped", dropped[-1])
        if self.payloads:
            journal.remove_items(self.payloads, dropped)
        return surplus

    def floor(self) -> int | None:
        """Return one more than the newest id that trimming dropped, None if it dropped none."""
        return None if self.newest_dropped is None else self.newest_dropped + 1

    def slice(self, start: int, stop: int | None, bounds: Bounds, descending: bool) -> list[tuple[int, Any]]:
        """Return ``(id, payload)`` at positions within the bounds, in the direction. O(log n + what it returns)."""
        first, behind = self._range(bounds)
        if stop is None:
            stop = behind - first
        if descending:
            ids = self.ids.slice(max(behind - stop, first), max(behind - start, first))
            ids.reverse()
        else:
            ids = self.ids.slice(min(first + start, behind), min(first + stop, behind))
        if not self.payloads:
            return [(activity_id, _EMPTY) for activity_id in ids]
        payloads = self.payloads
        return [(activity_id, payloads.get(activity_id, _EMPTY)) for activity_id in ids]

    def _range(self, bounds: Bounds) -> tuple[int, int]:
        """Return the positions, oldest first, at which the bounds begin and end."""
        ids = self.ids
        if bounds.is_everything:
            return 0, len(ids)
        if bounds.is_empty:
            return 0, 0
        return ids.bisect_left(bounds.lowest), ids.bisect_right(bounds.highest)

    def index_of(self, activity_id: int) -> int | None:
        """Return how many entries are newer than the id, None if it is not there. O(log n)."""
        if activity_id not in self.ids:
            return None
        return len(self.ids) - self.ids.bisect_right(activity_id)
