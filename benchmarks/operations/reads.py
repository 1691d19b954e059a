"""Reads of the newest entries of timelines, and walks."""

from __future__ import annotations

import random

from benchmarks.operations.base import Read, Scale, Scenario
from benchmarks.side import Side
from benchmarks.workloads import all_activities, keys
from feedstore import Activity, ActivityRef

LIMIT = 25
_TIMELINES = 100
_LENGTH = 800
_ACTIVITIES = 10_000


class _ReadTimeline(Read):
    """A read of one of the timelines, taken in turn."""

    def __init__(self) -> None:
        self._keys = keys(_TIMELINES)

    def arguments(self, number: int) -> str:
        return self._keys[number % _TIMELINES]


class Newest(_ReadTimeline):
    """Reads of references."""

    name = "newest_25"
    title = f"newest {LIMIT}, references"

    def perform(self, side: Side, arguments: str) -> list[ActivityRef]:
        return side.newest(arguments, LIMIT)


class NewestHydrated(_ReadTimeline):
    """Reads of hydrated activities."""

    name = "newest_25_hydrated"
    title = f"newest {LIMIT}, hydrated"

    def perform(self, side: Side, arguments: str) -> list[Activity]:
        return side.newest_hydrated(arguments, LIMIT)


class Walk(_ReadTimeline):
    """Walks through all pages of a timeline."""

    name = "walk"
    title = f"a walk by pages of {LIMIT} through {_LENGTH}"
    unit = "pages"
    units = _LENGTH // LIMIT

    def perform(self, side: Side, arguments: str) -> list[ActivityRef]:
        return side.walk(arguments, LIMIT)


class ReadScenario(Scenario):
    """Timelines of 800 out of 10,000 stored activities."""

    def __init__(self, scale: Scale) -> None:
        self.operations = [Newest(), NewestHydrated(), Walk()]

    def fill(self, side: Side) -> None:
        activities = all_activities(_ACTIVITIES)
        for start in range(0, _ACTIVITIES, 500):
            side.add_activities(activities[start : start + 500])
        choose = random.Random(4)
        for key in keys(_TIMELINES):
            side.add_many(key, choose.sample(activities, _LENGTH))
