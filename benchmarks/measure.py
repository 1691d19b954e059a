"""Timings of two sides in turn, so that other work of the machine affects both."""

from __future__ import annotations

import gc
import statistics
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

from benchmarks.operations.base import Operation
from benchmarks.side import Side

_GROWTH = 8


@dataclass(frozen=True)
class Effort:
    """The effort of a measurement: the number of pairs, and the seconds for which each side repeats the call."""

    pairs: int
    seconds: float


@dataclass(frozen=True)
class Spread:
    """A median with the tenth and ninetieth percentiles."""

    median: float
    p10: float
    p90: float


@dataclass(frozen=True)
class Comparison:
    """The rates of one operation: units a second on each side, and the product's rate divided by the other's."""

    product_rate: float
    other_rate: float
    ratio: Spread
    pairs: int
    calls_a_pair: int


class Runner(ABC):
    """A runner that makes calls of one operation and returns their time."""

    @abstractmethod
    def run(self, first: int, calls: int) -> float:
        """Make the calls from number ``first`` on and return the seconds that they took."""


class SideRunner(Runner):
    """Runner of an operation on a side in this process, without garbage collection during the timing."""

    def __init__(self, operation: Operation, side: Side) -> None:
        self._operation = operation
        self._side = side

    def run(self, first: int, calls: int) -> float:
        perform, side = self._operation.perform, self._side
        arguments = [self._operation.arguments(number) for number in range(first, first + calls)]
        gc.collect()
        gc.disable()
        try:
            start = perf_counter()
            for one in arguments:
                perform(side, one)
            return perf_counter() - start
        finally:
            gc.enable()


def compare(operation: Operation, product: Runner, other: Runner, effort: Effort) -> tuple[Comparison, int]:
    """Measure both sides in turn, the product first in every other pair.

    Returns:
        The comparison, and the number of calls that each side has made.
    """
    limit = None if operation.calls is None else max(operation.calls // (effort.pairs + 3), 1)
    calls, made = _calls_a_pair((product, other), limit, effort.seconds)
    product_seconds: list[float] = []
    other_seconds: list[float] = []
    for pair in range(_pairs(operation, effort, calls, made)):
        sides = [(product, product_seconds), (other, other_seconds)]
        for runner, seconds in sides if pair % 2 == 0 else reversed(sides):
            seconds.append(runner.run(made, calls))
        made += calls
    units = operation.units * calls
    comparison = Comparison(
        statistics.median(units / seconds for seconds in product_seconds),
        statistics.median(units / seconds for seconds in other_seconds),
        spread([theirs / ours for ours, theirs in zip(product_seconds, other_seconds, strict=True)]),
        len(product_seconds),
        calls,
    )
    return comparison, made


def spread(values: Sequence[float]) -> Spread:
    """Return the median and percentiles of one value or more."""
    if len(values) == 1:
        return Spread(values[0], values[0], values[0])
    tenths = statistics.quantiles(values, n=10, method="inclusive")
    return Spread(statistics.median(values), tenths[0], tenths[-1])


def _calls_a_pair(runners: Sequence[Runner], limit: int | None, seconds: float) -> tuple[int, int]:
    """Warm up both sides. Return the calls that fill ``seconds`` on the slower one, and the calls that were made."""
    calls, made = 1, 1
    for runner in runners:
        runner.run(0, 1)
    while True:
        slowest = max(runner.run(made, calls) for runner in runners)
        made += calls
        if slowest >= seconds / 2 or calls == limit:
            return calls, made
        wanted = int(calls * min(seconds / slowest, _GROWTH)) or 1
        calls = wanted if limit is None else min(wanted, limit)


def _pairs(operation: Operation, effort: Effort, calls: int, made: int) -> int:
    if operation.calls is None:
        return effort.pairs
    return max(min(effort.pairs, (operation.calls - made) // calls), 1)
