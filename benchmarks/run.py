"""One run of the table."""

from __future__ import annotations

import gc
from collections.abc import Collection, Iterator
from contextlib import closing
from dataclasses import dataclass

from benchmarks.measure import Comparison, Effort, SideRunner, compare
from benchmarks.operations import SCENARIOS, Operation, Scale, Scenario
from benchmarks.side import Side
from benchmarks.table import Laboratory


class Disagreement(Exception):
    """Two sides have different contents after the same work, so the measurement is invalid."""


@dataclass(frozen=True)
class Row:
    """One row of the table."""

    backend: str
    operation: str
    title: str
    unit: str
    driver: str
    aim: float | None
    comparison: Comparison


def operation_names(scale: Scale) -> list[str]:
    """Return the names of all operations, in their order."""
    return [operation.name for make in SCENARIOS for operation in make(scale).operations]


def run(
    backend: str, laboratory: Laboratory, scale: Scale, effort: Effort, wanted: Collection[str] | None
) -> Iterator[Row]:
    """Yield a row for each of the ``wanted`` operations (None: all), as soon as it is measured."""
    # `gc.unfreeze` would also return the objects that the caller has frozen to the collector.
    frozen_by_caller = gc.get_freeze_count() > 0
    for make in SCENARIOS:
        scenario = make(scale)
        chosen = [operation for operation in scenario.operations if wanted is None or operation.name in wanted]
        if not chosen:
            continue
        with closing(laboratory.open_product()) as product, closing(laboratory.open_raw()) as raw:
            _fill(scenario, product, raw)
            laboratory.settle()
            for operation in chosen:
                comparison = _measure(operation, product, raw, effort)
                aim = laboratory.aims.get(operation.name)
                yield Row(backend, operation.name, operation.title, operation.unit, laboratory.driver, aim, comparison)
        if not frozen_by_caller:
            gc.unfreeze()


def _fill(scenario: Scenario, product: Side, raw: Side) -> None:
    for side in (product, raw):
        scenario.fill(side)
    # The objects of the store are no garbage, so the collections between two timings can skip them.
    gc.collect()
    gc.freeze()


def _measure(operation: Operation, product: Side, raw: Side, effort: Effort) -> Comparison:
    comparison, calls = compare(operation, SideRunner(operation, product), SideRunner(operation, raw), effort)
    ours, theirs = (operation.outcome(side, calls) for side in (product, raw))
    if not ours or ours != theirs:
        raise Disagreement(f"{operation.name}: after {calls} calls the product and the raw driver disagree")
    return comparison
