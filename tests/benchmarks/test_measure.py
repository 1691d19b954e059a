"""The statistics, and the turns that the two sides take."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.measure import Effort, Runner, Spread, compare, spread
from benchmarks.operations import Operation
from benchmarks.side import Side


class Counted(Operation):
    """An operation of three units a call."""

    name, title, unit, units = "counted", "counted", "things", 3

    def __init__(self, calls: int | None = None) -> None:
        self.calls = calls

    def arguments(self, number: int) -> Any:
        return number

    def perform(self, side: Side, arguments: Any) -> Any:
        raise AssertionError("the runners of these tests perform nothing")

    def outcome(self, side: Side, calls: int) -> Any:
        raise AssertionError("nothing is compared here")


class Scripted(Runner):
    """Takes so many seconds a call, and writes down when it was asked."""

    def __init__(self, name: str, seconds: float, log: list[tuple[str, int, int]]) -> None:
        self.name, self.seconds, self.log = name, seconds, log

    def run(self, first: int, calls: int) -> float:
        self.log.append((self.name, first, calls))
        return self.seconds * calls


def test_the_spread_of_one_value_is_that_value() -> None:
    assert spread([0.5]) == Spread(0.5, 0.5, 0.5)


def test_the_spread_of_many() -> None:
    assert spread(range(101)) == Spread(median=50, p10=10, p90=90)


def test_the_ratio_is_the_products_rate_by_the_others() -> None:
    log: list[tuple[str, int, int]] = []
    comparison, made = compare(
        Counted(), Scripted("product", 0.002, log), Scripted("raw", 0.001, log), Effort(pairs=5, seconds=0.016)
    )
    assert comparison.ratio == Spread(0.5, 0.5, 0.5)
    assert comparison.product_rate == pytest.approx(1500)
    assert comparison.other_rate == pytest.approx(3000)
    assert (comparison.pairs, comparison.calls_a_pair) == (5, 8)
    assert made == sum(calls for name, _, calls in log if name == "raw")


def test_both_sides_make_the_same_calls_and_take_turns_at_being_first() -> None:
    log: list[tuple[str, int, int]] = []
    compare(Counted(), Scripted("product", 0.1, log), Scripted("raw", 0.1, log), Effort(pairs=4, seconds=0.1))
    ours = [(first, calls) for name, first, calls in log if name == "product"]
    assert ours == [(first, calls) for name, first, calls in log if name == "raw"]
    # No call is made twice: each begins where the one before it ended.
    assert [first for first, _ in ours] == [sum(calls for _, calls in ours[:place]) for place in range(len(ours))]
    names = [name for name, _, _ in log[-8:]]
    assert names == ["product", "raw", "raw", "product"] * 2


@pytest.mark.parametrize("calls", [4, 7, 60, 160])
def test_an_operation_is_never_asked_for_more_calls_than_it_has(calls: int) -> None:
    log: list[tuple[str, int, int]] = []
    quick = Scripted("product", 1e-9, log), Scripted("raw", 1e-9, log)
    comparison, made = compare(Counted(calls), *quick, Effort(pairs=9, seconds=1))
    assert made <= calls
    assert comparison.pairs >= 1
