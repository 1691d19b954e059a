"""Fan-outs: one call that delivers to many timelines."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from benchmarks.operations.base import Operation, Scenario
from benchmarks.side import Side
from benchmarks.workloads import all_activities, keys
from feedstore import Activity

_BLOCK, _LATE_BY = 20, 10
_FEW = 100


class FanOut(Operation):
    """New activities to full timelines, each trimmed to its length again."""

    unit = "deliveries"

    def __init__(self, timelines: Sequence[str], max_length: int, at_once: int, calls: int, first: int) -> None:
        self.name = f"fan_out_{at_once}_to_{max_length}"
        what = "one activity" if at_once == 1 else f"{at_once} activities"
        self.title = f"fan-out of {what} to {len(timelines):,} timelines of {max_length}"
        self.units = len(timelines) * at_once
        self.calls: int = calls
        self._timelines = timelines
        self._max_length = max_length
        self._at_once = at_once
        self._first = first

    @cached_property
    def _activities(self) -> Sequence[Activity]:
        return all_activities(self._first + self.calls * self._at_once)[self._first :]

    def arguments(self, number: int) -> Sequence[Activity]:
        return self._activities[number * self._at_once : (number + 1) * self._at_once]

    def perform(self, side: Side, arguments: Any) -> None:
        side.add_to_many(self._timelines, arguments, self._max_length)

    def outcome(self, side: Side, calls: int) -> dict[str, list[int]]:
        return side.kept(self._timelines[::10], self._max_length)


class FewFanOut(FanOut):
    """As :class:`FanOut`, to few timelines: the fixed cost of a call counts."""

    def __init__(self, timelines: Sequence[str], max_length: int, at_once: int, calls: int, first: int) -> None:
        super().__init__(timelines, max_length, at_once, calls, first)
        self.name = f"few_fan_out_{at_once}_to_{max_length}"


class LateFanOut(FanOut):
    """As :class:`FanOut` of one activity. One in twenty is older than the ten before it."""

    def __init__(self, timelines: Sequence[str], max_length: int, calls: int, first: int) -> None:
        super().__init__(timelines, max_length, 1, max(calls // _BLOCK, 1) * _BLOCK, first)
        self.name = f"late_fan_out_1_to_{max_length}"
        self.title = f"{self.title}, 5 % late"

    def arguments(self, number: int) -> Sequence[Activity]:
        block, place = divmod(number, _BLOCK)
        if place <= _LATE_BY:
            place = (place + 1) % (_LATE_BY + 1)
        return super().arguments(block * _BLOCK + place)


class Publish(Operation):
    """One new activity, stored and delivered to full timelines in one batch, each trimmed to its length again."""

    unit = "deliveries"

    def __init__(self, timelines: Sequence[str], max_length: int, calls: int, first: int) -> None:
        self.name = f"publish_to_{max_length}"
        self.title = f"one activity stored and fanned out to {len(timelines):,} timelines of {max_length}, one batch"
        self.units = len(timelines)
        self.calls: int = calls
        self._timelines = timelines
        self._max_length = max_length
        self._first = first

    @cached_property
    def _activities(self) -> Sequence[Activity]:
        return all_activities(self._first + self.calls)[self._first :]

    def arguments(self, number: int) -> Activity:
        return self._activities[number]

    def perform(self, side: Side, arguments: Any) -> None:
        side.publish(arguments, self._timelines, self._max_length)

    def outcome(self, side: Side, calls: int) -> Any:
        newest = min(calls, self._max_length)
        hydrated = [side.newest_hydrated(key, newest) for key in self._timelines[::100]]
        if any(len(activities) != newest for activities in hydrated):
            return None
        return side.kept(self._compared(), self._max_length), hydrated

    def _compared(self) -> Sequence[str]:
        return self._timelines[::10]


class PublishWithPayload(Publish):
    """One new activity, stored and delivered with a payload to full timelines.

    Each timeline keeps the newest entries of each payload, and has ``companions``, which are empty at first.
    """

    def __init__(
        self, timelines: Sequence[str], max_length: int, companions: Sequence[str], calls: int, first: int
    ) -> None:
        super().__init__(timelines, max_length, calls, first)
        self.name = f"publish_{'companions' if companions else 'payloads'}_to_{max_length}"
        limits = f"payloads and {len(companions)} companions" if companions else "payloads"
        self.title = f"one activity stored and delivered with {limits} to {len(timelines):,} timelines of {max_length}"
        self._companions = companions

    def perform(self, side: Side, arguments: Any) -> None:
        side.publish_with_payload(arguments, self._timelines, self._max_length, self._companions)

    def _compared(self) -> Sequence[str]:
        return [key + suffix for key in super()._compared() for suffix in ("", *self._companions)]


class PayloadScenario(Scenario):
    """Timelines that are full of entries with payloads, and have no entries in their companions."""

    def __init__(self, timelines: int, max_length: int, calls: int) -> None:
        self._max_length = max_length
        self._timelines = keys(timelines)
        with_payloads = PublishWithPayload(self._timelines, max_length, (), calls, max_length)
        companions = (":unseen", ":unread")
        with_companions = PublishWithPayload(self._timelines, max_length, companions, calls, max_length + calls)
        self.operations = [with_payloads, with_companions]

    def fill(self, side: Side) -> None:
        side.add_with_payloads(self._timelines, all_activities(self._max_length))


class FanOutScenario(Scenario):
    """Timelines that are full."""

    def __init__(self, timelines: int, max_length: int, calls: int) -> None:
        self._max_length = max_length
        self._timelines = keys(timelines)
        one = FanOut(self._timelines, max_length, 1, calls, max_length)
        several = FanOut(self._timelines, max_length, 25, calls, max_length + calls)
        used = max_length + calls + 25 * calls
        batched = Publish(self._timelines, max_length, calls, used)
        late = LateFanOut(self._timelines, max_length, calls, used + calls)
        self.operations = [one, several, batched, late]

    def fill(self, side: Side) -> None:
        side.add_to_many(self._timelines, all_activities(self._max_length), self._max_length)


class FewFanOutScenario(FanOutScenario):
    """A hundred timelines at most that are full."""

    def __init__(self, timelines: int, max_length: int, calls: int) -> None:
        super().__init__(min(timelines, _FEW), max_length, calls)
        one = FewFanOut(self._timelines, max_length, 1, calls, max_length)
        several = FewFanOut(self._timelines, max_length, 25, calls, max_length + calls)
        self.operations = [one, several]
