"""``python -m benchmarks``: measure, and print the table."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from contextlib import closing

from benchmarks.measure import Effort
from benchmarks.operations import FULL, QUICK
from benchmarks.report import table
from benchmarks.run import Row, operation_names, run
from benchmarks.table import LABORATORIES


def main(arguments: list[str] | None = None) -> int:
    """Measure what the arguments ask for; return the exit code."""
    options = _parser().parse_args(arguments)
    scale = QUICK if options.quick else FULL
    pairs = options.repeat or (9 if options.quick else 25)
    effort = Effort(pairs, 0.01 if options.quick else 0.05)
    rows: list[Row] = []
    for backend in options.backend:
        with closing(LABORATORIES[backend]()) as laboratory:
            rows += run(backend, laboratory, scale, effort, options.operation)
    print(table(rows))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure feedstore against raw drivers.")
    parser.add_argument("--quick", action="store_true", help="smaller workloads, under a minute")
    parser.add_argument("--backend", type=_names(list(LABORATORIES)), default=list(LABORATORIES), metavar="NAMES")
    parser.add_argument("--operation", type=_names(operation_names(FULL)), metavar="NAMES")
    parser.add_argument("--repeat", type=int, metavar="PAIRS", help="how many pairs each operation is measured with")
    return parser


def _names(known: list[str]) -> Callable[[str], list[str]]:
    def parse(text: str) -> list[str]:
        names = text.split(",")
        for name in names:
            if name not in known:
                raise argparse.ArgumentTypeError(f"unknown name {name!r}; known are {', '.join(known)}")
        return names

    return parse


if __name__ == "__main__":
    sys.exit(main())
