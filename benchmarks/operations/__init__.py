"""The measured operations."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.operations.base import FULL, QUICK, Operation, Scale, Scenario
from benchmarks.operations.bulk import BulkScenario
from benchmarks.operations.fan_out import FanOutScenario, FewFanOutScenario, PayloadScenario
from benchmarks.operations.reads import ReadScenario
from benchmarks.operations.sizes import SizeScenario

SCENARIOS: tuple[Callable[[Scale], Scenario], ...] = (
    BulkScenario,
    lambda scale: FanOutScenario(scale.short_timelines, 100, scale.steady_calls),
    lambda scale: FanOutScenario(scale.long_timelines, 800, scale.steady_calls),
    lambda scale: FewFanOutScenario(scale.short_timelines, 100, scale.steady_calls),
    lambda scale: FewFanOutScenario(scale.short_timelines, 800, scale.steady_calls),
    lambda scale: PayloadScenario(scale.short_timelines, 100, scale.steady_calls),
    lambda scale: PayloadScenario(scale.long_timelines, 800, scale.steady_calls),
    ReadScenario,
    SizeScenario,
)

__all__ = ["FULL", "QUICK", "SCENARIOS", "Operation", "Scale", "Scenario"]
