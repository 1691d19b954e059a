"""Bulk adds of 500 activities or entries a call."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from benchmarks.operations.base import Operation, Scale, Scenario
from benchmarks.side import Side
from benchmarks.workloads import all_activities, chunks, shuffled
from feedstore import Activity

CHUNK = 500
_CHUNKS_IN_A_TIMELINE = 20


class AddActivities(Operation):
    """Adds of new activities to the activity storage. The time includes their serialization."""

    name = "activities_add_many"
    title = f"activities, bulk add ({CHUNK} a call)"
    unit = "activities"
    units = CHUNK

    def __init__(self, scale: Scale) -> None:
        self.calls: int = scale.calls

    @cached_property
    def _chunks(self) -> list[Sequence[Activity]]:
        return chunks(all_activities(self.calls * CHUNK), CHUNK)

    def arguments(self, number: int) -> Sequence[Activity]:
        return self._chunks[number]

    def perform(self, side: Side, arguments: Sequence[Activity]) -> None:
        side.add_activities(arguments)

    def outcome(self, side: Side, calls: int) -> list[Activity]:
        sample = [activity for chunk in self._chunks[:calls] for activity in chunk[::25]]
        side.add_many("sample", sample)
        return side.newest_hydrated("sample", len(sample))


class AddToTimeline(Operation):
    """Adds of new entries to a timeline, which grows from 0 to 10,000 entries; then the next timeline begins."""

    unit = "entries"
    units = CHUNK

    def __init__(self, scale: Scale, in_order: bool) -> None:
        self.name = "timeline_add_many" if in_order else "timeline_add_many_shuffled"
        self.title = f"timeline, bulk add ({CHUNK} a call{'' if in_order else ', random order'})"
        self.calls = scale.steady_calls
        self._in_order = in_order

    @cached_property
    def _chunks(self) -> list[Sequence[Activity]]:
        activities: Sequence[Activity] = all_activities(_CHUNKS_IN_A_TIMELINE * CHUNK)
        return chunks(activities if self._in_order else shuffled(activities), CHUNK)

    def arguments(self, number: int) -> tuple[str, Sequence[Activity]]:
        return self._key(number), self._chunks[number % _CHUNKS_IN_A_TIMELINE]

    def perform(self, side: Side, arguments: Any) -> None:
        side.add_many(*arguments)

    def outcome(self, side: Side, calls: int) -> dict[str, list[int]]:
        # A repeated chunk must leave no second copy.
        side.add_many(*self.arguments(0))
        return side.ids(sorted({self._key(number) for number in range(calls)}))

    def _key(self, number: int) -> str:
        return f"{self.name}:{number // _CHUNKS_IN_A_TIMELINE}"


class BulkScenario(Scenario):
    """An empty store."""

    def __init__(self, scale: Scale) -> None:
        self.operations = [AddActivities(scale), AddToTimeline(scale, True), AddToTimeline(scale, False)]

    def fill(self, side: Side) -> None:
        """Leave the store empty."""
