"""``feedstore stats``: counts the contents of a store."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from feedstore.activity import Activity
from feedstore.cli.options import add_common_options, masked, open_existing_backend, store_url
from feedstore.cli.output import counted, print_json, print_table, printable, time_text
from feedstore.fanout import HomeFeed, UserFeed
from feedstore.ingest import Checkpoints
from feedstore.storage import TimelineStorage

NAME = "stats"
HELP = "count the contents of a store, by reading all of it"
_KINDS = {
    UserFeed.key_format.partition("{")[0]: "users' own",
    HomeFeed.key_format.partition("{")[0]: "home feeds",
}
_OTHER = ""


@dataclass
class TimelineTotals:
    """Totals of the timelines with one prefix of their keys."""

    timelines: int = 0
    entries: int = 0
    longest: int = 0
    longest_key: str | None = None

    def add(self, key: str, length: int) -> None:
        """Count one timeline."""
        self.timelines += 1
        self.entries += length
        if length > self.longest:
            self.longest, self.longest_key = length, key


@dataclass
class Activities:
    """The number of activities, and the times of the first and of the last one by id."""

    count: int = 0
    first: datetime | None = None
    last: datetime | None = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the common options."""
    add_common_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Count, and print the counts."""
    with open_existing_backend(arguments) as backend:
        activities = _count_activities(backend.activity_storage().iterate())
        kinds = _count_timelines(backend.timeline_storage())
        checkpoints = sorted(Checkpoints(backend), key=lambda checkpoint: checkpoint.source)
    ingested = [
        {"source": one.source, "rows": one.rows, "skipped": one.skipped, "finished": one.finished}
        for one in checkpoints
    ]
    found = {"store": masked(store_url(arguments)), "namespace": arguments.namespace}
    if arguments.json:
        counts = {prefix or "other": vars(kind) for prefix, kind in kinds.items()}
        print_json(found | {"activities": vars(activities), "timelines": counts, "ingested": ingested})
    else:
        print(f"{printable(found['store'])}, namespace {found['namespace']}\n")
        _print_activities(activities)
        _print_timelines(kinds)
        _print_ingested(ingested)
    return 0


def _count_activities(stored: Iterable[Activity]) -> Activities:
    activities = Activities()
    activity = None
    for activity in stored:
        activities.count += 1
        if activities.first is None:
            activities.first = activity.time
    if activity is not None:
        activities.last = activity.time
    return activities


def _count_timelines(timelines: TimelineStorage) -> dict[str, TimelineTotals]:
    kinds = {prefix: TimelineTotals() for prefix in (*_KINDS, _OTHER)}
    for key in timelines.keys():  # noqa: SIM118 - a storage's keys(), not a dictionary's
        prefix = next((prefix for prefix in _KINDS if key.startswith(prefix)), _OTHER)
        kinds[prefix].add(key, timelines.count(key))
    return kinds


def _print_activities(activities: Activities) -> None:
    print(counted(activities.count, "activity", "activities"), end="")
    if activities.first is not None and activities.last is not None:
        print(f", {time_text(activities.first)} to {time_text(activities.last)} (UTC)", end="")
    print()


def _print_timelines(kinds: dict[str, TimelineTotals]) -> None:
    rows: list[tuple[Any, ...]] = [
        (
            f"{prefix}… {_KINDS[prefix]}" if prefix else "others",
            f"{kind.timelines:,}",
            f"{kind.entries:,}",
            f"{kind.longest:,}",
            kind.longest_key,
        )
        for prefix, kind in kinds.items()
        if kind.timelines
    ]
    if rows:
        print()
        print_table(("timelines", "count", "entries", "longest", "which"), rows, right=("count", "entries", "longest"))


def _print_ingested(ingested: list[dict[str, Any]]) -> None:
    if ingested:
        rows = [
            (one["source"], f"{one['rows']:,}", f"{one['skipped']:,}", "all" if one["finished"] else "a part")
            for one in ingested
        ]
        print()
        print_table(("ingested", "rows", "skipped", "how much"), rows, right=("rows", "skipped"))
