"""``python -m benchmarks``: measure, and print the tables."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from benchmarks.ancestor.run import run as run_ancestor
from benchmarks.measure import Effort
from benchmarks.memory_usage import footprints
from benchmarks.operations import FULL, QUICK, Scale
from benchmarks.report import Report
from benchmarks.run import operation_names, run
from benchmarks.table import LABORATORIES, MemoryLaboratory

_QUICK_PAIRS, _FULL_PAIRS = 9, 25
_QUICK_SECONDS, _FULL_SECONDS = 0.01, 0.05
_QUICK_AMOUNT, _FULL_AMOUNT = 8_000, 100_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what the arguments ask for, print it, and return the exit code."""
    options = _parser().parse_args(arguments)
    scale = QUICK if options.quick else FULL
    pairs = options.repeat or (_QUICK_PAIRS if options.quick else _FULL_PAIRS)
    effort = Effort(pairs, _QUICK_SECONDS if options.quick else _FULL_SECONDS)
    amount = None if options.operation else _QUICK_AMOUNT if options.quick else _FULL_AMOUNT
    report = Report(" ".join(sys.argv[1:] if arguments is None else arguments))
    for backend in options.backend or _available():
        _measure(report, backend, scale, effort, options.operation, amount)
    if options.ancestor:
        _say("stream_framework")
        report.ancestor_rows += run_ancestor(MemoryLaboratory(), scale, effort, options.operation)
    print(report.text())
    if options.json is not None:
        options.json.write_text(json.dumps(report.as_json(), indent=2) + "\n", encoding="utf-8")
    return 0


def _measure(
    report: Report, backend: str, scale: Scale, effort: Effort, wanted: list[str] | None, amount: int | None
) -> None:
    _say(backend)
    with closing(LABORATORIES[backend]()) as laboratory:
        report.rows += run(backend, laboratory, scale, effort, wanted)
        if amount is not None:
            report.footprints += footprints(backend, laboratory, amount)


def _available() -> list[str]:
    found = []
    for backend, laboratory in LABORATORIES.items():
        reason = laboratory.why_unavailable()
        if reason is None:
            found.append(backend)
        else:
            print(f"leaving out {backend}: {reason}", file=sys.stderr)
    return found


def _say(what: str) -> None:
    print(f"measuring {what}", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure feedstore against the raw drivers, which do the same work in the same run.",
    )
    known = ", ".join(LABORATORIES)
    parser.add_argument("--quick", action="store_true", help="smaller workloads and fewer pairs: under a minute")
    parser.add_argument(
        "--backend",
        type=_names(list(LABORATORIES)),
        metavar="NAME,…",
        help=f"of {known}; all that can be had if left out",
    )
    parser.add_argument(
        "--operation",
        type=_names(operation_names(FULL)),
        metavar="NAME,…",
        help="these rows alone, and nothing about space",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to a file too")
    parser.add_argument("--repeat", type=_positive, metavar="N", help="pairs to measure each operation with")
    parser.add_argument(
        "--ancestor", action="store_true", help="measure stream_framework too, installed into the user's cache"
    )
    return parser


def _names(known: list[str]) -> Callable[[str], list[str]]:
    def parse(text: str) -> list[str]:
        names = text.split(",")
        for name in names:
            if name not in known:
                raise argparse.ArgumentTypeError(f"unknown name {name!r}; known are {', '.join(known)}")
        return names

    return parse


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of 1 or more")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
