"""``feedstore trim``: keeps the newest entries of timelines."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from itertools import islice

from feedstore.cli import status
from feedstore.cli.options import (
    add_common_options,
    is_confirmed,
    masked,
    open_existing_backend,
    store_url,
    zero_or_more,
)
from feedstore.cli.output import counted, print_json, printable
from feedstore.cli.streams import print_error
from feedstore.errors import InvalidValueError
from feedstore.storage import Backend

NAME = "trim"
HELP = "keep only the newest entries of timelines"
_KEYS_A_BATCH = 500


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the keys, the length and the common options."""
    parser.add_argument("keys", metavar="KEY", nargs="*", help="timelines to trim")
    parser.add_argument("--all", action="store_true", help="trim every timeline of the namespace, actors' own too")
    parser.add_argument(
        "--yes", action="store_true", help="do not ask before --all; needed where there is no terminal to ask on"
    )
    parser.add_argument(
        "--length", metavar="N", type=zero_or_more, required=True, help="how many entries each timeline keeps"
    )
    add_common_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Trim, and print the numbers of removed entries and of their timelines."""
    if arguments.all and arguments.keys:
        raise InvalidValueError("pass either timelines to trim or --all, which trims every timeline of the namespace")
    if not arguments.all and not arguments.keys:
        raise InvalidValueError("name the timelines to trim, or pass --all for every timeline of the namespace")
    if arguments.all and not arguments.yes and not _is_confirmed(arguments):
        print_error("nothing was trimmed")
        return status.FAILED
    with open_existing_backend(arguments) as backend:
        counts = _trim(backend, arguments.keys, arguments.length)
    # A store without exact counts does not return the number of removed entries.
    known = [count for count in counts if count is not None]
    is_known = len(known) == len(counts)
    trimmed, removed = sum(count > 0 for count in known), sum(known)
    if arguments.json:
        exact = {"trimmed": trimmed, "removed": removed} if is_known else {"trimmed": None, "removed": None}
        print_json({"timelines": len(counts), **exact})
    elif is_known:
        entries, timelines = counted(removed, "entry", "entries"), counted(len(counts), "timeline")
        print(f"removed {entries} from {trimmed:,} of {timelines}")
    else:
        were = "was" if len(counts) == 1 else "were"
        print(f"{counted(len(counts), 'timeline')} {were} trimmed; this store does not count removed entries")
    return 0


def _is_confirmed(arguments: argparse.Namespace) -> bool:
    store = printable(masked(store_url(arguments)))
    question = (
        f"Keep only the newest {counted(arguments.length, 'entry', 'entries')} of every timeline in the namespace "
        f"{arguments.namespace} of {store}? Other entries cannot be restored."
    )
    return is_confirmed(question, "trim --all", "--yes")


def _trim(backend: Backend, keys: Iterable[str], length: int) -> list[int | None]:
    """Trim timelines, all if none is named, and return the number of removed entries of each."""
    timelines = backend.timeline_storage()
    counts: list[int | None] = []
    for some in _batches(iter(dict.fromkeys(keys)) if keys else timelines.keys()):
        with backend.batch() as batch:
            for key in some:
                timelines.trim(key, length, batch_interface=batch)
        counts += batch.results
    return counts


def _batches(keys: Iterator[str]) -> Iterator[list[str]]:
    while some := list(islice(keys, _KEYS_A_BATCH)):
        yield some
