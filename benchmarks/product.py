"""The product's side."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmarks.side import Side
from feedstore import Activity, ActivityRef
from feedstore.storage import AtomicScope, Backend


class ProductSide(Side):
    """feedstore through its public interface.

    ``measure_bytes`` says how many bytes the store under the backend takes: a question that the interface does not
    answer.
    """

    def __init__(self, backend: Backend, measure_bytes: Callable[[], int]) -> None:
        self._backend = backend
        self._activities = backend.activity_storage()
        self._timelines = backend.timeline_storage()
        self._measure_bytes = measure_bytes
        self._is_atomic = backend.abilities.atomic_scope is AtomicScope.BACKEND
        self.fan_out_excess = backend.abilities.fan_out_excess

    def add_activities(self, activities: Sequence[Activity]) -> None:
        self._activities.add_many(activities)

    def add_many(self, key: str, activities: Sequence[Activity]) -> None:
        self._timelines.add_many(key, activities)

    def add_ids(self, key: str, activity_ids: Sequence[int]) -> None:
        self._timelines.add_many(key, activity_ids)

    def add_to_many(self, keys: Sequence[str], activities: Sequence[Activity], max_length: int) -> None:
        self._timelines.add_to_many(keys, activities, max_length=max_length)

    def publish(self, activity: Activity, keys: Sequence[str], max_length: int) -> None:
        with self._backend.batch(atomic=self._is_atomic) as batch:
            self._activities.add(activity, batch_interface=batch)
            self._timelines.add_to_many(keys, [activity], max_length=max_length, batch_interface=batch)

    def newest(self, key: str, limit: int) -> list[ActivityRef]:
        return self._timelines.get_slice(key, 0, limit)

    def newest_hydrated(self, key: str, limit: int) -> list[Activity]:
        return self._timelines.get_slice(key, 0, limit, hydrate_from=self._activities)

    def walk(self, key: str, limit: int) -> list[ActivityRef]:
        page = self._timelines.get_page(key, limit)
        references = page.items
        while page.next_cursor is not None:
            page = self._timelines.get_page(key, limit, page.next_cursor)
            references += page.items
        return references

    def index_of(self, key: str, activity_id: int) -> int:
        return self._timelines.index_of(key, activity_id)

    def contains(self, key: str, activity_id: int) -> bool:
        return self._timelines.contains(key, activity_id)

    def count(self, key: str) -> int:
        return self._timelines.count(key)

    def stored_bytes(self) -> int:
        return self._measure_bytes()

    def close(self) -> None:
        self._backend.close()
