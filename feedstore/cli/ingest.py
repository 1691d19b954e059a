"""``feedstore ingest``: stores the activities of files."""

from __future__ import annotations

import argparse
import gc
import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta

from feedstore.cli import progress
from feedstore.cli.options import add_common_options, at_least_one, open_backend
from feedstore.cli.report import report
from feedstore.errors import FeedstoreError, InvalidValueError
from feedstore.ingest import DEFAULT_MAX_FUTURE, DEFAULT_MAX_LENGTH, Loader, Problems, Source, read_follows
from feedstore.ingest.chunk import DEFAULT_ROWS
from feedstore.ingest.source import STANDARD_INPUT
from feedstore.ingest.summary import ON_ERROR, STOP
from feedstore.shown import shown

NAME = "ingest"
HELP = "store activities from files, and deliver them to timelines"
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_COLLECTION_THRESHOLDS = (100_000, 50, 100)
_DURATION = re.compile(r"([0-9]{1,6})([smhd])")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the inputs, the options of the ingestion, and the common options."""
    parser.add_argument(
        "files",
        metavar="FILE",
        nargs="+",
        help="CSV with the header id,time,actor,verb,object,target,extra or NDJSON with these names, also compressed "
        "with gzip; - is standard input",
    )
    parser.add_argument(
        "--follows",
        metavar="FILE",
        help="the follow graph: CSV or NDJSON with follower,followee,time or source,target. Each edge applies to all "
        "activities of its followee. Without it only the actors' own timelines are written",
    )
    parser.add_argument(
        "--max-length",
        metavar="N",
        type=at_least_one,
        default=DEFAULT_MAX_LENGTH,
        help="how many entries a follower's timeline keeps (default: %(default)s)",
    )
    parser.add_argument(
        "--resume", action="store_true", help="continue after the rows of the same files that an earlier run stored"
    )
    parser.add_argument("--dry-run", action="store_true", help="read, check and count everything, and write nothing")
    parser.add_argument(
        "--on-error",
        choices=ON_ERROR,
        default=STOP,
        help="at a malformed row stop the run, or count, list and skip the row (default: %(default)s)",
    )
    _add_tuning(parser)
    add_common_options(parser)


def _add_tuning(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--max-future",
        metavar="TIME",
        type=_duration,
        default=DEFAULT_MAX_FUTURE,
        help="how far a row's time may lie ahead of the clock, as in 90s, 30m, 12h or 7d (default: 1d)",
    )
    parser.add_argument(
        "--chunk-size",
        metavar="N",
        type=at_least_one,
        default=DEFAULT_ROWS,
        help="how many rows are stored in one step, at most (default: %(default)s)",
    )
    parser.add_argument(
        "--progress",
        choices=progress.CHOICES,
        default=progress.AUTO,
        help="show a bar if standard error is a terminal, plain lines, or nothing (default: %(default)s)",
    )


def _duration(text: str) -> timedelta:
    match = _DURATION.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"it is a number and one of s, m, h, d, as in 12h, not {shown(text)}")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def run(arguments: argparse.Namespace) -> int:
    """Ingest the files one after the other, and print the report, after an error too."""
    _check(arguments)
    problems = Problems(arguments.on_error)
    with _rare_collections(), ExitStack() as opened:
        loader = _new_loader(arguments, problems, opened)
        try:
            _load(arguments, loader)
        except (FeedstoreError, OSError, KeyboardInterrupt) as error:
            report(arguments, loader, error)
            raise
    report(arguments, loader)
    return 0


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Let Python's garbage collector run rarely inside the block.

    Rows hold no reference cycles, and each full collection visits the whole graph of followers. With Python's own
    thresholds, the collector took a quarter of the time of an ingestion.
    """
    before = gc.get_threshold()
    gc.set_threshold(*_COLLECTION_THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _check(arguments: argparse.Namespace) -> None:
    if arguments.dry_run and arguments.resume:
        raise InvalidValueError("--dry-run reads everything and looks into no store; leave out --resume")
    if [*arguments.files, arguments.follows].count(STANDARD_INPUT) > 1:
        raise InvalidValueError("standard input, -, can be read once only; name files for the others")


def _new_loader(arguments: argparse.Namespace, problems: Problems, opened: ExitStack) -> Loader:
    follows = read_follows(Source(arguments.follows), problems) if arguments.follows is not None else None
    return Loader(
        None if arguments.dry_run else opened.enter_context(open_backend(arguments)),
        follows,
        max_length=arguments.max_length,
        max_future=arguments.max_future,
        chunk_rows=arguments.chunk_size,
        problems=problems,
        progress=progress.new_progress(arguments.progress, sys.stderr),
    )


def _load(arguments: argparse.Namespace, loader: Loader) -> None:
    for path in arguments.files:
        loader.load(Source(path), resume=arguments.resume)
