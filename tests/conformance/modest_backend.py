"""A backend with no ability at all: counts are unknown, fan-outs leave an excess, nothing is atomic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dict_backend import DictActivityStorage, DictBackend, DictKvStorage, DictSession, DictTimelineStorage

from feedstore.errors import AtomicityError
from feedstore.storage import Abilities, AtomicScope
from feedstore.storage.session import AUTOCOMMIT, Operation, Pending, Transaction
from feedstore.storage.timeline_hooks import Limits

EXCESS = 7


class ModestActivityStorage(DictActivityStorage):
    def add_to_storage(
        self, serialized_activities: Mapping[int, bytes], transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int | None]:
        return uncounted(super().add_to_storage(serialized_activities, transaction))

    def remove_from_storage(
        self, activity_ids: list[int], transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int | None]:
        return uncounted(super().remove_from_storage(activity_ids, transaction))


class ModestTimelineStorage(DictTimelineStorage):
    def add_to_storage(
        self, key: str, serialized_activities: Mapping[int, bytes], transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int | None]:
        return uncounted(super().add_to_storage(key, serialized_activities, transaction))

    def remove_from_storage(
        self, key: str, serialized_activities: Mapping[int, bytes], transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int | None]:
        return uncounted(super().remove_from_storage(key, serialized_activities, transaction))

    def _trim(self, key: str, length: int, transaction: Transaction = AUTOCOMMIT) -> Pending[int | None]:
        return uncounted(super()._trim(key, length, transaction))

    def _add_to_many(
        self,
        keys: list[str],
        serialized: Mapping[int, bytes],
        max_length: int | None,
        transaction: Transaction = AUTOCOMMIT,
    ) -> Pending[int | None]:
        for key in keys:
            self.add_to_storage(key, serialized, transaction)
            if max_length is not None and self._count(key) > max_length + EXCESS:
                self._trim(key, max_length, transaction)
        return Pending(None)

    def _add_to_each(
        self, deliveries: Mapping[str, Mapping[int, bytes]], limits: Limits, transaction: Transaction = AUTOCOMMIT
    ) -> Pending[int | None]:
        with self.session.locked_space():
            return super()._add_to_each(deliveries, limits, transaction)


def uncounted(counted: Pending[int | None]) -> Pending[int | None]:
    """Return the result of a store that does not count."""
    assert counted.result is not None
    return Pending(None)


class ModestSession(DictSession):
    abilities = Abilities(
        exact_counts=False,
        exact_fan_out_length=False,
        fan_out_excess=EXCESS,
        atomic_scope=AtomicScope.NONE,
        conditional_writes=False,
        conditional_batches=False,
        ordered_prefix_scans=False,
        exclusive_claims=False,
        shared_between_processes=False,
    )

    def _transact(self, operations: Sequence[Operation], atomic: bool) -> list[Pending[Any]]:
        if atomic:
            raise AtomicityError("this store has no atomic writes; leave atomic=True out")
        return super()._transact(operations, atomic)


class ModestBackend(DictBackend):
    activity_storage_class = ModestActivityStorage
    timeline_storage_class = ModestTimelineStorage
    kv_storage_class = DictKvStorage
    session_class = ModestSession
