"""The side of the product."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmarks.side import Side
from benchmarks.workloads import MAX_PER_PAYLOAD, payload_of
from feedstore import Activity, ActivityRef
from feedstore.errors import AtomicityError
from feedstore.serializers import Serializer
from feedstore.storage import AtomicScope, Backend, Batch


class GroupSerializer(Serializer[bytes]):
    """A serializer whose payload is the name of an activity's group."""

    def dumps(self, activity: Activity) -> bytes:
        return payload_of(activity)

    def loads(self, data: bytes, activity_id: int) -> bytes:
        return data


class ProductSide(Side):
    """feedstore through its public interface.

    ``measure_bytes`` returns the bytes of the backend's store, for which the interface has no
    method.
    """

    def __init__(self, backend: Backend, measure_bytes: Callable[[], int]) -> None:
        self._backend = backend
        self._activities = backend.activity_storage()
        self._timelines = backend.timeline_storage()
        self._grouped = backend.timeline_storage(GroupSerializer)
        self._measure_bytes = measure_bytes
        self._is_atomic = backend.abilities.atomic_scope is AtomicScope.BACKEND
        self._delivers_in_batches = backend.abilities.atomic_deliveries
        self._delivers_atomically = self._is_atomic
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

    def add_with_payloads(self, keys: Sequence[str], activities: Sequence[Activity]) -> None:
        self._grouped.add_to_many(keys, activities)

    def publish_with_payload(
        self, activity: Activity, keys: Sequence[str], max_length: int, companions: Sequence[str]
    ) -> None:
        if not self._delivers_in_batches:
            self._activities.add(activity)
            self._deliver(activity, keys, max_length, companions)
            return
        try:
            with self._backend.batch(atomic=self._delivers_atomically) as batch:
                self._activities.add(activity, batch_interface=batch)
                self._deliver(activity, keys, max_length, companions, batch)
        except AtomicityError:
            # Redis bounds the work of an atomic batch. The refused batch has written nothing.
            if not self._delivers_atomically:
                raise
            self._delivers_atomically = False
            self.publish_with_payload(activity, keys, max_length, companions)

    def _deliver(
        self,
        activity: Activity,
        keys: Sequence[str],
        max_length: int,
        companions: Sequence[str],
        batch: Batch | None = None,
    ) -> None:
        self._grouped.add_to_many(
            keys,
            [activity],
            max_length=max_length,
            max_per_payload=MAX_PER_PAYLOAD,
            companions=companions,
            batch_interface=batch,
        )

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
