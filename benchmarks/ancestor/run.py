"""The comparison of the product with stream_framework on the same kind of store."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import closing
from dataclasses import replace

from benchmarks.ancestor.environment import VERSION
from benchmarks.ancestor.process import AncestorProcess, AncestorRunner
from benchmarks.measure import Comparison, Effort, SideRunner, compare
from benchmarks.operations import SCENARIOS, Operation, Scale
from benchmarks.operations.fan_out import FanOut
from benchmarks.run import Disagreement, Row
from benchmarks.side import Side
from benchmarks.table import Laboratory

DRIVER = f"stream_framework {VERSION}"
# It searches the whole timeline for each entry that it adds, so filling a timeline of 10**5 takes minutes.
_LARGEST = 10_000
_LEFT_OUT = ("walk", "publish_", "few_", "late_", "add_many_", "newest_25_")
# On Cassandra it makes two sequential requests for each timeline, so filling a thousand takes minutes. It also
# has no storage of activities on Cassandra.
_MOST_TIMELINES = {"cassandra": 50}
_HAS_NO_ACTIVITIES = ("cassandra",)


def run(
    backend: str, laboratory: Laboratory, scale: Scale, effort: Effort, wanted: Collection[str] | None
) -> Iterator[Row]:
    """Yield a row for each of the ``wanted`` operations that stream_framework has (None: all)."""
    scale = _bounded(scale, _MOST_TIMELINES.get(backend))
    for make in SCENARIOS:
        scenario = make(scale)
        chosen = [one for one in scenario.operations if _has(backend, one) and (wanted is None or one.name in wanted)]
        if not chosen:
            continue
        with (
            closing(laboratory.open_product()) as product,
            AncestorProcess(laboratory.ancestor_arguments()) as ancestor,
        ):
            scenario.fill(product)
            ancestor.fill(scenario)
            laboratory.settle()
            for operation in chosen:
                comparison = _measure(operation, product, ancestor, effort)
                yield Row(backend, operation.name, operation.title, operation.unit, DRIVER, None, comparison)


def _measure(operation: Operation, product: Side, ancestor: AncestorProcess, effort: Effort) -> Comparison:
    theirs = AncestorRunner(operation, ancestor)
    comparison, calls = compare(operation, SideRunner(operation, product), theirs, effort)
    outcome = operation.outcome(product, calls)
    if isinstance(operation, FanOut) and product.fan_out_excess:
        # Its own trim on Cassandra drops entries by their write time, not by their ids.
        return comparison
    # Its ids are different, but their number must be equal.
    for key, ids in outcome.items() if isinstance(outcome, dict) else ():
        length = ancestor.make_calls([("count", key)])[1]
        if length != len(ids):
            raise Disagreement(f"{operation.name}: {key} holds {len(ids)} entries here and {length} in {DRIVER}")
    return comparison


def _has(backend: str, operation: Operation) -> bool:
    if operation.name == "activities_add_many" and backend in _HAS_NO_ACTIVITIES:
        return False
    return operation.name == "newest_25_hydrated" or not operation.name.startswith(_LEFT_OUT)


def _bounded(scale: Scale, most_timelines: int | None) -> Scale:
    """Return the scale without the sizes that take stream_framework minutes."""
    scale = replace(scale, sizes=tuple(size for size in scale.sizes if size <= _LARGEST))
    if most_timelines is None:
        return scale
    return replace(scale, short_timelines=most_timelines, long_timelines=most_timelines)
