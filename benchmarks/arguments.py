"""The command line of ``python -m benchmarks``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from benchmarks.ingestion import ACTIVITIES, DATA, FOLLOWS
from benchmarks.operations import FULL
from benchmarks.run import operation_names
from benchmarks.table import LABORATORIES


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    known = ", ".join(LABORATORIES)
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure feedstore against the raw drivers, which do the same work in the same run.",
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="smaller workloads and fewer pairs: a few minutes")
    add(
        "--backend",
        type=_names(list(LABORATORIES)),
        metavar="NAME,…",
        help=f"of {known}; left out: all that can be had",
    )
    add(
        "--operation",
        type=_names(operation_names(FULL)),
        metavar="NAME,…",
        help="these rows alone, and nothing about space and ingestion",
    )
    add("--json", type=Path, metavar="FILE", help="write all figures to a file too")
    add("--repeat", type=_positive, metavar="N", help="how many pairs each operation is measured with")
    add("--ancestor", action="store_true", help="measure stream_framework too; it is installed into the user's cache")
    add(
        "--data",
        type=Path,
        default=DATA,
        metavar="FOLDER",
        help=f"ingest its {ACTIVITIES} and {FOLLOWS}; left out: examples/data/dev-review-feed",
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
