"""A backend with no ability at all: counts are unknown, fan-outs leave an excess, nothing is atomic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dict_backend import DictActivityStorage, DictBackend, DictKvStorage, DictTimelineStorage

from feedstore.errors import AtomicityError
from feedstore.storage import Abilities, AtomicScope
from feedstore.storage.batch import Operation

EXCESS = 7


class ModestActivityStorage(DictActivityStorage):
    def add_to_storage(self, serialized_activities: Mapping[int, bytes]) -> None:  # type: ignore[override]
        super().add_to_storage(serialized_activities)

    def remove_from_storage(self, activity_ids: list[int]) -> None:  # type: ignore[override]
        super().remove_from_storage(activity_ids)


class ModestTimelineStorage(DictTimelineStorage):
    def add_to_storage(self, key: str, serialized_activities: Mapping[int, bytes]) -> None:  # type: ignore[override]
        super().add_to_storage(key, serialized_activities)

    def remove_from_storage(  # type: ignore[override]
        self, key: str, serialized_activities: Mapping[int, bytes]
    ) -> None:
        super().remove_from_storage(key, serialized_activities)

    def _trim(self, key: str, length: int) -> None:  # type: ignore[override]
        super()._trim(key, length)

    def _add_to_many(self, keys: list[str], serialized: Mapping[int, bytes], max_length: int | None) -> None:
        for key in keys:
            self.add_to_storage(key, serialized)
            if max_length is not None and self._count(key) > max_length + EXCESS:
                self._trim(key, max_length)


class ModestBackend(DictBackend):
    abilities = Abilities(
        exact_counts=False,
        exact_fan_out_length=False,
        fan_out_excess=EXCESS,
        atomic_scope=AtomicScope.NONE,
        ordered_prefix_scans=False,
        exclusive_claims=False,
        shared_between_processes=False,
    )
    activity_storage_class = ModestActivityStorage
    timeline_storage_class = ModestTimelineStorage
    kv_storage_class = DictKvStorage

    def _run_operations(self, operations: Sequence[Operation], atomic: bool) -> list[Any]:
        if atomic:
            raise AtomicityError("this store has no atomic writes; leave atomic=True out")
        return super()._run_operations(operations, atomic)

    def _with_namespace(self, namespace: str) -> ModestBackend:
        return ModestBackend(namespace, self.metrics, self._store)
