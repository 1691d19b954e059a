"""Activities in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from feedstore.backends.memory.journal import Journal
from feedstore.backends.memory.session import MemorySession
from feedstore.storage import ActivityStorage, Bounds
from feedstore.storage.session import AUTOCOMMIT, Pending, Transaction


class InMemoryActivityStorage(ActivityStorage):
    """An activity storage over a dictionary by id. ``InMemoryActivityStorage()`` alone makes a private store.

    Adds, reads and removals cost O(1) for each activity. :meth:`iterate` sorts the ids once: O(n log n).
    """

    session: MemorySession
    can_require_new = True

    def _private_session(self) -> MemorySession:
        return MemorySession()

    def _check_payloads(self, entries: Iterable[tuple[int, Any]]) -> None:
        """Accept any object of the serializer: memory can keep all of them."""

    def add_to_storage(
        self, serialized_activities: Mapping[int, bytes], transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int | None]:
        """Add activities, with O(1) work for each."""
        return self.session.write(self._add, serialized_activities)

    def _add(self, journal: Journal, serialized_activities: Mapping[int, bytes]) -> int | None:
        activities = self.session.space.activities
        before = len(activities)
        journal.update(activities, serialized_activities)
        return len(activities) - before

    def get_from_storage(self, activity_ids: list[int]) -> dict[int, bytes]:
        """Read activities, with O(1) work for each."""
        with self.session.lock:
            activities = self.session.space.activities
            return {one: activities[one] for one in activity_ids if one in activities}

    def remove_from_storage(
        self, activity_ids: list[int], transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int | None]:
        """Remove activities, with O(1) work for each."""
        return self.session.write(self._remove, activity_ids)

    def _remove(self, journal: Journal, activity_ids: list[int]) -> int | None:
        return journal.remove_items(self.session.space.activities, activity_ids)

    def _iterate(self, bounds: Bounds, descending: bool) -> Iterator[tuple[int, bytes]]:
        with self.session.lock:
            ids = [one for one in self.session.space.activities if bounds.lowest <= one <= bounds.highest]
        for activity_id in sorted(ids, reverse=descending):
            yield from self.get_from_storage([activity_id]).items()

    def _flush(self, transaction: Transaction = AUTOCOMMIT) -> Pending[None]:
        return self.session.write(self._remove_all)

    def _remove_all(self, journal: Journal) -> None:
        journal.replace(self.session.space, "activities", {})
