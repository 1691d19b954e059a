"""Aggregated feeds whose adds leave slack, beside feeds whose every add applies the limits."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

import soak
from feedstore import Activity, connect
from feedstore.errors import InvalidValueError
from feedstore.feeds import AggregatedFeed, NotificationAggregator
from feedstore.storage import Backend

START = datetime(2026, 1, 1, tzinfo=timezone.utc)


class Groups(AggregatedFeed):
    """A feed of one group for each object."""

    key_format = "groups:{user_id}"
    aggregator = NotificationAggregator(window=None)
    shown_per_group = 2


@pytest.fixture
def backend() -> Iterator[Backend]:
    """A backend in memory."""
    with connect("memory://") as backend:
        yield backend


def likes(photos: str, seconds: int = 0) -> list[Activity]:
    """Return one like for each digit of ``photos``, oldest first."""
    times = [START + timedelta(seconds=seconds + number) for number in range(len(photos))]
    return [Activity("ann", "like", f"photo:{one}", time=time) for one, time in zip(photos, times, strict=True)]


def feed_with(backend: Backend, user: str, has_slack: bool = True, **limits: Any) -> Groups:
    """Return a feed whose class has limits, and slack or none."""
    if not has_slack:
        limits["_slack"] = classmethod(lambda _: 0)
    kind: type[Groups] = type("Limited", (Groups,), limits)
    return kind(user, backend)


def shown_by(feed: AggregatedFeed, cursor: str | None = None) -> tuple[Any, ...]:
    """Return the groups, the bounds and the counts that a feed shows."""
    page = feed.page(2, cursor)
    groups = [(one.group, one.activities, one.activity_count, one.activity_count_is_exact) for one in page.items]
    members = feed.members(feed.group_id("like-photo:0"), 9)
    return groups, page.complete, page.floor, feed.count(), feed.group_count(), members


@pytest.mark.parametrize(
    ("length", "slack"),
    [
        (1, 1),
        (40, 40),
        (240, 50),
        (800, 160),
        (10_000, 1_000),
        (37_000, 1_000),
        (37_200, 800),
        (38_000, 0),
        (50_000, 0),
    ],
)
def test_the_slack_of_a_length(backend: Backend, length: int, slack: int) -> None:
    assert type(feed_with(backend, "bob", max_length=length))._slack() == slack


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(soak.count(3, 200)))
def test_a_feed_with_slack_shows_what_one_without_slack_shows(backend: Backend, seed: int) -> None:
    """T20: with late entries, filters and walks, and whichever of the two limits is the narrower one."""
    draw = random.Random(seed)
    limits = {"max_length": draw.choice([2, 3, 8]), "max_per_group": (None, 2, 4)[seed % 3]}
    pair = [feed_with(backend, str(has_slack), has_slack, **limits) for has_slack in (True, False)]
    cursors: list[str | None] = [None, None]
    for step in range(30):
        second = step if draw.randrange(4) else draw.randrange(30)
        given = likes("".join(draw.choices("012", k=draw.choice([1, 1, 3]))), 10 * second)
        pair[0].insert_activities(given)
        until = START + timedelta(seconds=draw.randrange(10 * step + 9))
        for feed in pair:
            feed.add_many(given)
        assert shown_by(pair[0]) == shown_by(pair[1])
        assert shown_by(pair[0].filter(until=until)) == shown_by(pair[1].filter(until=until))
        since = [feed.filter(since=until) for feed in pair]
        # The floor of these pages may lie below their filter.
        assert shown_by(since[0])[:2] == shown_by(since[1])[:2]
        pages = [feed.page(1, cursor) for feed, cursor in zip(pair, cursors, strict=True)]
        assert [(one.newest_id, one.activity_count) for one in pages[0].items] == [
            (one.newest_id, one.activity_count) for one in pages[1].items
        ]
        assert (pages[0].floor, pages[0].complete) == (pages[1].floor, pages[1].complete)
        cursors = [page.next_cursor for page in pages]


def test_a_feed_shows_the_groups_below_entries_of_a_longer_feed(backend: Backend) -> None:
    """T20: a class with a greater max_length has left more entries of a group than the read of this one."""
    given = likes("1" * 3 + "0" * 14)
    longer = feed_with(backend, "bob", max_length=10, max_per_group=2)
    longer.insert_activities(given)
    longer.add_many(given)
    assert longer.timelines.count(longer.key) == 17
    feed = feed_with(backend, "bob", max_length=4, max_per_group=2)
    assert [(one.group, one.activity_count) for one in feed[:9]] == [("like-photo:0", 2), ("like-photo:1", 2)]


def test_trim_refuses_its_argument_before_it_removes_entries(backend: Backend) -> None:
    """The entries beyond max_per_group do not count as trimmed."""
    feed = feed_with(backend, "bob", max_length=4, max_per_group=2)
    feed.add_many(likes("1100000"))
    with pytest.raises(InvalidValueError):
        feed.trim(-1)
    assert (feed.timelines.count(feed.key), feed.trim(3), feed.timelines.count(feed.key)) == (7, 1, 3)
