"""``feedstore trim``: keeps the newest entries of timelines."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from itertools import islice

from feedstore.cli.options import add_common_options, open_backend, zero_or_more
from feedstore.cli.output import print_json
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
        "--length", metavar="N", type=zero_or_more, required=True, help="how many entries each timeline keeps"
    )
    add_common_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Trim, and print how many entries of how many timelines went."""
    if arguments.all == bool(arguments.keys):
        raise InvalidValueError("name the timelines to trim, or pass --all for every timeline of the namespace")
    with open_backend(arguments) as backend:
        counts = _trim(backend, arguments.keys, arguments.length)
    # A store without exact counts does not say how many went.
    known = [count for count in counts if count is not None]
    is_known = len(known) == len(counts)
    trimmed, removed = (sum(count > 0 for count in known), sum(known)) if is_known else (None, None)
    if arguments.json:
        print_json({"timelines": len(counts), "trimmed": trimmed, "removed": removed})
    elif is_known:
        noun = "entry" if removed == 1 else "entries"
        print(f"removed {removed:,} {noun} from {trimmed:,} of {len(counts):,} timelines")
    else:
        print(f"{len(counts):,} timelines were trimmed; this store does not count what went")
    return 0


def _trim(backend: Backend, keys: Iterable[str], length: int) -> list[int | None]:
    """Trim timelines, all if none is named, and return how many entries each lost."""
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
