"""Operations on timelines of different sizes."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from benchmarks.operations.base import Operation, Read, Scale, Scenario
from benchmarks.operations.bulk import CHUNK
from benchmarks.operations.reads import LIMIT
from benchmarks.side import Side
from benchmarks.workloads import all_activities, chunks, new_ids
from feedstore import Activity

_FILL_CHUNK = 10_000
_SAMPLE = 1000


def _key(size: int) -> str:
    return f"size:{size}"


class _SizedRead(Read):
    """A read of the timeline of ``size`` entries, at random ids of its entries."""

    what: str

    def __init__(self, size: int) -> None:
        self.name = f"{self.what}_{size}"
        self.title = f"{self.what} in a timeline of {size:,}"
        self._size = size
        self._key = _key(size)

    @cached_property
    def _sample(self) -> list[int]:
        return random.Random(self._size).choices(new_ids(self._size), k=_SAMPLE)

    def arguments(self, number: int) -> tuple[str, int]:
        return self._key, self._sample[number % _SAMPLE]


class IndexOf(_SizedRead):
    """The position of an entry."""

    what = "index_of"

    def perform(self, side: Side, arguments: Any) -> int:
        return side.index_of(*arguments)


class Contains(_SizedRead):
    """The test for an id. The timeline holds one of every two ids."""

    what = "contains"

    def arguments(self, number: int) -> tuple[str, int]:
        key, activity_id = super().arguments(number)
        return key, activity_id ^ (number & 1)

    def perform(self, side: Side, arguments: Any) -> bool:
        return side.contains(*arguments)


class Count(_SizedRead):
    """The number of entries."""

    what = "count"

    def perform(self, side: Side, arguments: Any) -> int:
        return side.count(arguments[0])


class NewestOf(_SizedRead):
    """The newest entries."""

    what = f"newest_{LIMIT}"

    def perform(self, side: Side, arguments: Any) -> Any:
        return side.newest(arguments[0], LIMIT)


class AddTo(Operation):
    """Adds of 500 new entries at the top of the timeline, which grows."""

    unit = "entries"
    units = CHUNK

    def __init__(self, size: int, calls: int) -> None:
        self.name = f"add_many_{size}"
        self.title = f"add_many ({CHUNK} a call) to a timeline of {size:,}"
        self.calls: int = calls
        self._key = _key(size)

    @cached_property
    def _chunks(self) -> list[Sequence[Activity]]:
        return chunks(all_activities(self.calls * CHUNK), CHUNK)

    def arguments(self, number: int) -> tuple[str, Sequence[Activity]]:
        return self._key, self._chunks[number]

    def perform(self, side: Side, arguments: Any) -> None:
        side.add_many(*arguments)

    def outcome(self, side: Side, calls: int) -> dict[str, list[int]]:
        return side.ids([self._key])


class SizeScenario(Scenario):
    """One timeline of each size."""

    def __init__(self, scale: Scale) -> None:
        self._sizes = scale.sizes
        kinds = (IndexOf, Contains, Count, NewestOf)
        reads: list[Operation] = [kind(size) for kind in kinds for size in scale.sizes]
        self.operations = [*reads, *(AddTo(size, scale.calls) for size in scale.sizes)]

    def fill(self, side: Side) -> None:
        for size in self._sizes:
            ids = new_ids(size)
            for start in range(0, size, _FILL_CHUNK):
                side.add_ids(_key(size), ids[start : start + _FILL_CHUNK])
