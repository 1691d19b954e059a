"""``python -m benchmarks``: measure, and print the tables."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from benchmarks.ancestor.environment import AncestorUnavailable
from benchmarks.ancestor.run import run as run_ancestor
from benchmarks.arguments import parser
from benchmarks.ingestion import ingest, why_unavailable
from benchmarks.memory_usage import footprints
from benchmarks.plan import FULL_PLAN, QUICK_PLAN, Plan
from benchmarks.report import Report
from benchmarks.run import run
from benchmarks.table import LABORATORIES


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the measurements of the arguments, print the tables, and return the exit code."""
    options = parser().parse_args(arguments)
    plan = QUICK_PLAN if options.quick else FULL_PLAN
    if options.repeat is not None:
        plan = replace(plan, effort=replace(plan.effort, pairs=options.repeat))
    report = Report(" ".join(sys.argv[1:] if arguments is None else arguments))
    data = None if options.operation else _data(options.data)
    for backend in options.backend or _available():
        reason = LABORATORIES[backend].why_unavailable()
        if reason is not None:
            return _failed(f"{backend} cannot be measured: {reason}")
        _measure(report, backend, plan, options.operation, data)
        if options.ancestor and LABORATORIES[backend].has_ancestor:
            try:
                _measure_ancestor(report, backend, plan, options.operation)
            except AncestorUnavailable as error:
                return _failed(str(error))
    print(report.text())
    if options.json is not None:
        options.json.write_text(json.dumps(report.as_json(), indent=2) + "\n", encoding="utf-8")
    return 0


def _measure(report: Report, backend: str, plan: Plan, wanted: list[str] | None, data: Path | None) -> None:
    _say(f"measuring {backend}")
    with closing(LABORATORIES[backend]()) as laboratory:
        report.rows += run(backend, laboratory, plan.scale, plan.effort, wanted)
        if wanted is None:
            report.footprints += footprints(backend, laboratory, plan.stored)
        if data is not None:
            report.ingestions.append(ingest(backend, laboratory, data, plan.rows))


def _measure_ancestor(report: Report, backend: str, plan: Plan, wanted: list[str] | None) -> None:
    _say(f"measuring stream_framework on {backend}")
    with closing(LABORATORIES[backend]()) as laboratory:
        report.ancestor_rows += run_ancestor(backend, laboratory, plan.scale, plan.effort, wanted)


def _available() -> Iterator[str]:
    for backend, laboratory in LABORATORIES.items():
        reason = laboratory.why_unavailable()
        if reason is None:
            yield backend
        else:
            _say(f"leaving out {backend}: {reason}")


def _data(folder: Path) -> Path | None:
    reason = why_unavailable(folder)
    if reason is None:
        return folder
    _say(f"leaving out ingestion: {reason}")
    return None


def _failed(what: str) -> int:
    _say(f"error: {what}")
    return 1


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
