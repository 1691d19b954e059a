"""The product beside stream_framework on the same kind of store."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import closing
from dataclasses import replace

from benchmarks.ancestor.environment import VERSION
from benchmarks.ancestor.process import AncestorProcess, AncestorRunner
from benchmarks.measure import Comparison, Effort, SideRunner, compare
from benchmarks.operations import SCENARIOS, Operation, Scale
from benchmarks.run import Disagreement, Row
from benchmarks.side import Side
from benchmarks.table import Laboratory

DRIVER = f"stream_framework {VERSION}"
# It looks through the whole timeline for each entry that it adds: to fill one of 10**5 takes it minutes.
_LARGEST = 10_000
_LEFT_OUT = ("walk", "add_many_", "newest_25_")


def run(
    backend: str, laboratory: Laboratory, scale: Scale, effort: Effort, wanted: Collection[str] | None
) -> Iterator[Row]:
    """Yield a row for each of the ``wanted`` operations that stream_framework has (None: all)."""
    scale = replace(scale, sizes=tuple(size for size in scale.sizes if size <= _LARGEST))
    for make in SCENARIOS:
        scenario = make(scale)
        chosen = [one for one in scenario.operations if _has(one) and (wanted is None or one.name in wanted)]
        if not chosen:
            continue
        with (
            closing(laboratory.open_product()) as product,
            AncestorProcess(laboratory.ancestor_arguments()) as ancestor,
        ):
            scenario.fill(product)
            ancestor.fill(scenario)
            for operation in chosen:
                comparison = _measure(operation, product, ancestor, effort)
                yield Row(backend, operation.name, operation.title, operation.unit, DRIVER, None, comparison)


def _measure(operation: Operation, product: Side, ancestor: AncestorProcess, effort: Effort) -> Comparison:
    theirs = AncestorRunner(operation, ancestor)
    comparison, calls = compare(operation, SideRunner(operation, product), theirs, effort)
    outcome = operation.outcome(product, calls)
    # Its ids are others, but there must be as many.
    for key, ids in outcome.items() if isinstance(outcome, dict) else ():
        length = ancestor.make_calls([("count", key)])[1]
        if length != len(ids):
            raise Disagreement(f"{operation.name}: {key} holds {len(ids)} entries here and {length} in {DRIVER}")
    return comparison


def _has(operation: Operation) -> bool:
    return operation.name == "newest_25_hydrated" or not operation.name.startswith(_LEFT_OUT)
