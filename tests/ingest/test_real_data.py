"""Real data: the stored data equals the result of a model of a few lines."""

from __future__ import annotations

import csv
import gzip
import tracemalloc
from collections import defaultdict
from pathlib import Path

import pytest

import soak
from feedstore import Activity, connect
from feedstore.fanout import HomeFeed, UserFeed
from feedstore.ingest import Problems, Source, read_follows
from feedstore.storage import Backend
from ingest.inputs import new_loader, read, source
from ingest.real import ACTIVITIES, FOLLOWS, first_rows
from ingest.stored import settle

ROWS = soak.count(1000, 3000)
MAX_LENGTH = 60


def followers() -> dict[str, set[str]]:
    """Who follows each developer."""
    found: dict[str, set[str]] = defaultdict(set)
    with gzip.open(FOLLOWS, "rt", encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            found[row["followee"]].add(row["follower"])
    return found


def expected_timelines(activities: list[Activity], backend: Backend) -> dict[str, list[int]]:
    """The entries of every timeline, newest first, by sorting."""
    graph = followers()
    timelines: dict[str, list[int]] = defaultdict(list)
    for activity in activities:
        timelines[UserFeed(activity.actor, backend).key].append(activity.serialization_id)
        for follower in graph[str(activity.actor)]:
            timelines[HomeFeed(follower, backend).key].append(activity.serialization_id)
    return {
        key: sorted(ids, reverse=True)[: None if key.startswith("user:") else MAX_LENGTH]
        for key, ids in timelines.items()
    }


@pytest.mark.soak
def test_timelines_are_what_sorting_makes_of_the_rows(backend: Backend) -> None:
    text = first_rows(ROWS)
    loader = new_loader(backend, read_follows(Source(FOLLOWS), Problems()), max_length=MAX_LENGTH, chunk_rows=ROWS // 4)
    summary = loader.load(source(text))
    expected = expected_timelines(read(text), backend)
    timelines = backend.timeline_storage()
    settle(backend, MAX_LENGTH)
    keys = timelines.keys()
    found = {key: [entry.serialization_id for entry in timelines.get_slice(key, 0, None)] for key in keys}
    assert found == expected
    assert list(backend.activity_storage().iterate()) == sorted(read(text), key=lambda activity: activity.id)
    assert (summary.rows, summary.activities, summary.repeated_deliveries) == (ROWS, ROWS, 0)


def test_the_whole_data_is_as_its_readme_says() -> None:
    follows = read_follows(Source(FOLLOWS), Problems())
    loader = new_loader(None, follows)
    summary = loader.load(Source(ACTIVITIES))
    assert (summary.rows, summary.planned_deliveries, summary.skipped) == (236_741, 7_820_400, 0)
    assert (follows.edges, follows.readers, len(follows.followees)) == (14_577, 1_109, 2_876)
    assert loader.followed_actors == follows.followees


@pytest.mark.soak
def test_memory_does_not_grow_with_the_input(tmp_path: Path) -> None:
    # With all follows, most of the time would go into deliveries.
    some_follows = first_rows(1000, FOLLOWS)
    peaks = []
    for rows in (soak.count(500, 8000), soak.count(3000, 16_000)):
        text = first_rows(rows).encode()
        with connect(f"sqlite:///{tmp_path / str(rows)}.db") as backend:
            follows = read_follows(source(some_follows), Problems())
            loader = new_loader(backend, follows, max_length=MAX_LENGTH, chunk_rows=100)
            backend.ping()
            tracemalloc.start()
            loader.load(source(text))
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]
