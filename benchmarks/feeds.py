"""``python -m benchmarks.feeds``: measure aggregated and notification feeds against flat feeds.

The sides of a row take turns. The figures are the processor time of this process and of the server that it has
started, because the wall time depends on other work of the machine.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from functools import partial
from itertools import count
from pathlib import Path
from statistics import median

from benchmarks.places import PLACES, new_parser
from feedstore import Activity, connect
from feedstore.feeds import AggregatedFeed, Feed, NotificationFeed
from feedstore.storage import Backend

_START = datetime(2026, 5, 1, tzinfo=timezone.utc)
_ENTRIES, _GROUPS, _SHOWN, _FLAT_PAGE = 800, 40, 10, 50
_FEEDS = 1000
Call = Callable[[], object]
_NANOSECONDS = 10**9


class FlatFeed(Feed):
    """A flat feed."""

    key_format = "flat:{user_id}"
    max_length = 800


class GroupFeed(AggregatedFeed):
    """An aggregated feed with a group for each object."""

    key_format = "groups:{user_id}"
    aggregator = "{object}"
    max_length = 800


class ShortFlatFeed(FlatFeed):
    """A flat feed of 100 entries."""

    key_format = "short:{user_id}"
    max_length = 100


class ShortGroupFeed(GroupFeed):
    """An aggregated feed of 100 entries."""

    key_format = "short-groups:{user_id}"
    max_length = 100


class BadgeFeed(NotificationFeed):
    """A notification feed with a group for each object."""

    key_format = "{{{user_id}}}:badge"
    aggregator = "{object}"
    max_length = 800


def main(arguments: list[str] | None = None) -> None:
    """Measure each backend that the arguments name, by default all but Cassandra."""
    parser = new_parser("Aggregated feeds, measured.", PLACES, rounds=9)
    parser.add_argument("--feeds", type=int, default=_FEEDS, help=f"of a fan-out ({_FEEDS:,})")
    parser.add_argument("--calls", type=int, default=50, help="reads in one round (50)")
    options = parser.parse_args(arguments)
    for name in options.backend or [name for name in PLACES if name != "cassandra"]:
        with PLACES[name]() as url, connect(url) as backend:
            rows = (
                *_reads(backend, options.rounds, options.calls),
                *_fan_outs(backend, options.feeds, options.rounds),
            )
            for title, text in rows:
                print(f"{name:<12}{title:<58}{text}", flush=True)


def _reads(backend: Backend, rounds: int, calls: int) -> Iterator[tuple[str, str]]:
    posts = [_post(number, _GROUPS) for number in range(_ENTRIES)]
    flat, groups, badge = FlatFeed("bob", backend), GroupFeed("bob", backend), BadgeFeed("bob", backend)
    flat.insert_activities(posts)
    for feed in (flat, groups, badge):
        feed.add_many(posts)
    page, plain = _in_turns([lambda: groups[:_SHOWN], lambda: flat[:_FLAT_PAGE]], rounds, calls)
    title = f"a page of {_SHOWN} groups : a page of {_FLAT_PAGE} of a flat feed"
    yield title, f"{page * 1000:.2f} : {plain * 1000:.2f} ms, {page / plain:.2f} times"
    unseen, counted = _in_turns([badge.unseen_count, lambda: flat.timelines.count(flat.key)], rounds, calls * 4)
    yield "unseen_count, as a share of the rate of count", f"{counted / unseen:.2f}"


def _fan_outs(backend: Backend, feeds: int, rounds: int) -> Iterator[tuple[str, str]]:
    """Yield the rate of fan-outs to full feeds, as a share of that of flat feeds.

    A cycle is one fan-out more than the slack, so that each feed applies its limits once in it.
    """
    readers, numbers = [f"reader:{number}" for number in range(feeds)], count()
    for flat, grouped in ((ShortFlatFeed, ShortGroupFeed), (FlatFeed, GroupFeed)):
        length = flat.max_length
        assert length is not None
        cycle = grouped._slack() + 1
        for groups in (1, _GROUPS):
            for kind in (flat, grouped):
                kind.add_to_feeds(backend, readers, [_post(next(numbers), groups) for _ in range(length)])

            def deliver(kind: type[FlatFeed | GroupFeed], groups: int = groups) -> None:
                kind.add_to_feeds(backend, readers, [_post(next(numbers), groups)])

            plain, ours = _in_turns([partial(deliver, flat), partial(deliver, grouped)], rounds, cycle)
            yield f"fan-out to {feeds:,} of {length}, {groups} groups, as a share of flat", f"{plain / ours:.2f}"


def _in_turns(calls: list[Call], rounds: int, repeat: int) -> list[float]:
    """Return the seconds of processor time of each call: the median of some rounds, each the mean of some calls."""
    servers = _descendants()
    seconds: list[list[float]] = [[] for _ in calls]
    for number in range(-1, rounds):
        for place, call in enumerate(calls):
            before = _processor_seconds(servers)
            for _ in range(repeat):
                call()
            if number >= 0:
                seconds[place].append((_processor_seconds(servers) - before) / repeat)
    return list(map(median, seconds))


def _processor_seconds(servers: list[Path]) -> float:
    """Return the processor time that this process and its servers have taken."""
    taken = 0
    for server in servers:
        for thread in server.glob("task/*/schedstat"):
            # A thread of a server may end at any time.
            with suppress(FileNotFoundError, ProcessLookupError):
                taken += int(thread.read_text().split()[0])
    if servers and not taken:
        raise RuntimeError("the processor time of the servers is unknown; /proc/PID/task holds no schedstat with it")
    return time.process_time() + taken / _NANOSECONDS


def _descendants() -> list[Path]:
    """Return the folders in /proc of the processes that this process has started, and of those that they have."""
    parents = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            parents[int(file.parent.name)] = int(file.read_text().rpartition(")")[2].split()[1])
    found, new = set[int](), {os.getpid()}
    while new:
        new = {process for process, parent in parents.items() if parent in new}
        found |= new
    return [Path("/proc", str(process)) for process in sorted(found)]


def _post(number: int, groups: int) -> Activity:
    """Return an activity like those of the other benchmarks: half of them have an extra context."""
    context = {"authored": "2025-12-31T23:59:59Z", "files": number % 9} if number % 2 else None
    moment = _START + timedelta(milliseconds=number)
    return Activity(f"dev:{number}", "like", f"photo:{number % groups}", f"album:{number % 300}", moment, context)


if __name__ == "__main__":
    main()
