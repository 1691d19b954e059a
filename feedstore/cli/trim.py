"""``feedstore trim``: keeps the newest entries of timelines."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from itertools import islice

from feedstore.cli.options import add_common_options, open_backend, zero_or_more
from feedstore.cli.output import print_json
from feedstore.storage import Backend

NAME = "trim"
HELP = "keep only the newest entries of timelines"
_KEYS_A_BATCH = 500


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the keys, the length and the common options."""
    parser.add_argument("keys", metavar="KEY", nargs="*", help="timelines to trim (default: all of the namespace)")
    parser.add_argument(
        "--length", metavar="N", type=zero_or_more, required=True, help="how many entries each timeline keeps"
    )
    add_common_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Trim, and print how many entries of how many timelines went."""
    with open_backend(arguments) as backend:
        looked_at, trimmed, removed = _trim(backend, arguments.keys, arguments.length)
    if arguments.json:
        print_json({"timelines": looked_at, "trimmed": trimmed, "removed": removed})
    elif removed is None:
        print(f"trimmed {looked_at:,} timelines to {arguments.length:,}; this store does not count what went")
    else:
        print(f"removed {removed:,} entries from {trimmed:,} of {looked_at:,} timelines")
    return 0


def _trim(backend: Backend, keys: Iterable[str], length: int) -> tuple[int, int | None, int | None]:
    """Trim timelines, all if none is named; return how many there were, how many lost entries, and how many those
    were. The last two are None for a store that does not count.
    """
    timelines = backend.timeline_storage()
    counts: list[int | None] = []
    for some in _batches(iter(dict.fromkeys(keys)) if keys else timelines.keys()):
        with backend.batch() as batch:
            for key in some:
                timelines.trim(key, length, batch_interface=batch)
        counts += batch.results
    if not backend.abilities.exact_counts:
        return len(counts), None, None
    removed = [count or 0 for count in counts]
    return len(counts), sum(count > 0 for count in removed), sum(removed)


def _batches(keys: Iterator[str]) -> Iterator[list[str]]:
    while some := list(islice(keys, _KEYS_A_BATCH)):
        yield some
