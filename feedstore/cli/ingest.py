"""``feedstore ingest``: stores the activities of files."""

from __future__ import annotations

import argparse
import gc
import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import Any

from feedstore.cli import progress
from feedstore.cli.managers import check_no_store, imported_manager
from feedstore.cli.options import add_common_options, at_least_one, open_backend
from feedstore.cli.report import ReadFollows, report
from feedstore.errors import FeedstoreError, InvalidValueError
from feedstore.fanout import FeedManager, HomeFeed
from feedstore.ingest import (
    DEFAULT_MAX_FUTURE,
    InputFollowers,
    Loader,
    Problems,
    Source,
    import_follows,
    read_follows,
)
from feedstore.ingest.chunk import DEFAULT_ROWS
from feedstore.ingest.formats import AUTO, INPUT_FORMATS
from feedstore.ingest.source import STANDARD_INPUT
from feedstore.ingest.summary import ON_ERROR, STOP
from feedstore.registry import connect
from feedstore.shown import shown

NAME = "ingest"
HELP = "store activities from files, and deliver them to the feeds of followers"
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_COLLECTION_THRESHOLDS = (100_000, 50, 100)
_DURATION = re.compile(r"([0-9]{1,6})([smhd])")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the inputs, the options of the ingestion, and the common options."""
    parser.add_argument(
        "files",
        metavar="FILE",
        nargs="+",
        help="CSV with the header id,time,actor,verb,object,target,extra, NDJSON with these names, a file of feedstore "
        "export, or ActivityStreams 2.0, also compressed with gzip; - is standard input",
    )
    _add_format(parser)
    parser.add_argument(
        "--follows",
        metavar="FILE",
        help="follows to add to the stored follow graph before the activities: CSV or NDJSON with "
        "follower,followee,time or source,target. Each edge applies to all activities of its followee",
    )
    parser.add_argument(
        "--follows-in-memory",
        action="store_true",
        help="use the follows of --follows for this run only, and store none of them, which is faster for large files",
    )
    parser.add_argument(
        "--from-follow",
        action="store_true",
        help="deliver to a follower only the activities from the time of the follow on",
    )
    parser.add_argument(
        "--manager",
        metavar="MODULE:NAME",
        help="the feed manager whose feeds are filled, on its own store (default: home feeds of 800 entries)",
    )
    parser.add_argument(
        "--max-length",
        metavar="N",
        type=at_least_one,
        help=f"how many entries a home feed keeps (default: {HomeFeed.max_length})",
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


def _add_format(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--format",
        choices=INPUT_FORMATS,
        default=AUTO,
        help="the format of the files; as2 is ActivityStreams 2.0: one document on each line, or one in the whole "
        "file (default: %(default)s, by the first line and the name)",
    )
    parser.add_argument(
        "--base",
        metavar="IRI",
        help="the beginning of the IRIs of names in ActivityStreams documents: with https://example.org/, "
        "https://example.org/ann is the actor ann",
    )


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
    progress.add_progress_option(parser)


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
        source = None if arguments.follows is None else Source(arguments.follows)
        follows: ReadFollows | None
        manager, follows = _open_manager(arguments, source, problems, opened)
        loader = _new_loader(arguments, manager, problems)
        try:
            if source is not None and manager.graph is not None:
                follows = import_follows(manager.graph, source, problems)
            _load(arguments, loader)
        except (FeedstoreError, OSError, KeyboardInterrupt) as error:
            report(arguments, loader, follows, error)
            raise
    report(arguments, loader, follows)
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
    if arguments.follows_in_memory and (arguments.follows is None or arguments.from_follow or arguments.manager):
        raise InvalidValueError("--follows-in-memory needs --follows, and excludes --from-follow and --manager")
    check_no_store(arguments)
    if arguments.manager and arguments.max_length is not None:
        raise InvalidValueError("--manager has feeds of its own; leave out --max-length")


def _open_manager(
    arguments: argparse.Namespace, source: Source | None, problems: Problems, opened: ExitStack
) -> tuple[FeedManager, InputFollowers | None]:
    """Return the manager of a run, and the followers that were read for it if it has no stored graph."""
    if arguments.manager and not arguments.dry_run:
        manager = imported_manager(arguments.manager)
        if source is not None and manager.graph is None:
            raise InvalidValueError(f"{manager} has no follow graph that could store follows; leave out --follows")
        return manager, None
    options: dict[str, Any] = {}
    if arguments.max_length is not None:
        options["feed_classes"] = {"normal": type("HomeFeed", (HomeFeed,), {"max_length": arguments.max_length})}
    if arguments.dry_run and not arguments.from_follow:
        followers = InputFollowers() if source is None else read_follows(source, problems)
        backend = opened.enter_context(connect("memory://"))
        return FeedManager(backend, graph=followers, **options), None if source is None else followers
    backend = opened.enter_context(connect("memory://") if arguments.dry_run else open_backend(arguments))
    if arguments.follows_in_memory and source is not None:
        followers = read_follows(source, problems)
        return FeedManager(backend, graph=followers, **options), followers
    return FeedManager(backend, **options), None


def _new_loader(arguments: argparse.Namespace, manager: FeedManager, problems: Problems) -> Loader:
    return Loader(
        manager,
        dry_run=arguments.dry_run,
        from_follow=arguments.from_follow,
        max_future=arguments.max_future,
        chunk_rows=arguments.chunk_size,
        format=arguments.format,
        base=arguments.base,
        problems=problems,
        progress=progress.new_progress(arguments.progress, sys.stderr),
    )


def _load(arguments: argparse.Namespace, loader: Loader) -> None:
    for path in arguments.files:
        loader.load(Source(path), resume=arguments.resume)
