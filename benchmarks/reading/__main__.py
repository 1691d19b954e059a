"""``python -m benchmarks.reading``: measure merged, filtered and ranked pages, and print a table."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from statistics import median
from typing import Any

from benchmarks.places import PLACES, new_parser
from benchmarks.workloads import all_activities
from feedstore import connect
from feedstore.fanout import ExponentialDecay, FilteredFeed, MergedFeed, RankedFeed
from feedstore.feeds import Feed
from feedstore.storage import Backend

PULLED = 50
LENGTH = 100
LIMIT = 25
WINDOW = 500


class PushedFeed(Feed):
    """The home feed of a reader."""

    key_format = "pushed:{user_id}"


class OwnFeed(Feed):
    """The own feed of a producer."""

    key_format = "own:{user_id}"
    max_length = None


Pair = tuple[str, Callable[[], Any], Callable[[], Any]]


def main() -> None:
    """Measure each backend that the arguments name, by default all but Cassandra."""
    parser = new_parser("Merged, filtered and ranked pages, measured.", PLACES, rounds=9)
    parser.add_argument("--calls", type=int, default=50, help="in one round (50)")
    options = parser.parse_args()
    print(f"{'backend':<12}{'page of ' + str(LIMIT):<52}{'ms':>8}{'plain':>8}{'ratio':>8}")
    for name in options.backend or [name for name in PLACES if name != "cassandra"]:
        with PLACES[name]() as url, connect(url) as backend:
            for title, read, plain in _pairs(backend):
                read(), plain()
                rounds = [
                    (_seconds(read, options.calls), _seconds(plain, options.calls)) for _ in range(options.rounds)
                ]
                ratio = median(one / other for one, other in rounds)
                ours, theirs = (median(side) * 1000 for side in zip(*rounds, strict=True))
                print(f"{name:<12}{title:<52}{ours:>8.2f}{theirs:>8.2f}{ratio:>8.2f}", flush=True)


def _pairs(backend: Backend) -> list[Pair]:
    """Return reads with their titles, each with the plain read that it is compared with."""
    merged = _filled(backend)
    timelines, activities, keys = merged.timelines, merged.activities, [feed.key for feed in merged.feeds]
    middle = merged.page(10 * LIMIT).next_cursor
    filtered = FilteredFeed(merged, lambda activity: activity.serialization_id % 2)
    ranked = RankedFeed(merged, ExponentialDecay(timedelta(days=1)), window=WINDOW)
    return [
        (
            "merged, references : get_many_pages",
            lambda: timelines.get_merged_page(keys, LIMIT),
            lambda: timelines.get_many_pages(keys, LIMIT),
        ),
        (
            "merged, in the middle : get_many_pages",
            lambda: timelines.get_merged_page(keys, LIMIT, middle),
            lambda: timelines.get_many_pages(keys, LIMIT, middle),
        ),
        (
            "merged, hydrated : get_many_pages, hydrated",
            lambda: MergedFeed(merged.feeds).page(LIMIT),
            lambda: timelines.get_many_pages(keys, LIMIT, hydrate_from=activities),
        ),
        (
            "merged, hydrated : newest of one feed, hydrated",
            lambda: MergedFeed(merged.feeds).page(LIMIT),
            lambda: merged.feeds[0].page(LIMIT),
        ),
        ("filtered by half : merged", lambda: filtered.page(LIMIT), lambda: merged.page(LIMIT)),
        (f"ranked, window {WINDOW} : merged {WINDOW}", lambda: ranked.page(LIMIT), lambda: merged.page(WINDOW)),
    ]


def _filled(backend: Backend) -> MergedFeed:
    """Return one pushed timeline and 50 pulled producers, which hold different activities."""
    home, own = PushedFeed("reader", backend), [OwnFeed(number, backend) for number in range(PULLED)]
    stored = all_activities((PULLED + 1) * LENGTH)
    for start in range(0, len(stored), 500):
        home.insert_activities(stored[start : start + 500])
    feeds = [home, *own]
    home.timelines.add_to_each({feed.key: stored[number :: PULLED + 1] for number, feed in enumerate(feeds)})
    return MergedFeed(feeds)


def _seconds(read: Callable[[], Any], calls: int) -> float:
    read()
    started = time.perf_counter()
    for _ in range(calls):
        read()
    return (time.perf_counter() - started) / calls


if __name__ == "__main__":
    main()
