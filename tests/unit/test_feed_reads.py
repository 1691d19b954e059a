"""The round trips of feeds: the memory backend takes one for each call of a storage."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from feedstore import Activity, connect
from feedstore.feeds import AggregatedFeed, Feed, NotificationAggregator, NotificationFeed, aggregated_feed
from feedstore.serializers import MsgpackSerializer
from feedstore.storage import Backend

START = datetime(2026, 1, 1, tzinfo=timezone.utc)
LIKES = [Activity("ann", "like", f"photo:{number % 3}", time=START + timedelta(hours=number)) for number in range(9)]


class CopyFeed(Feed):
    """A feed that needs no other storage."""

    key_format = "copies:{user_id}"
    serializer_class = MsgpackSerializer


class Groups(AggregatedFeed):
    """A feed without marks."""

    aggregator = NotificationAggregator(window=None)


class Bell(NotificationFeed):
    """A feed with marks."""

    aggregator = NotificationAggregator(window=None)
    publishes = False


@pytest.fixture
def backend(caplog: pytest.LogCaptureFixture) -> Iterator[Backend]:
    """A backend whose storages log their calls."""
    caplog.set_level(logging.DEBUG, "feedstore.calls")
    with connect("memory://") as backend:
        backend.activity_storage().add_many(LIKES)
        yield backend


@pytest.mark.parametrize(
    ("kind", "read", "expected"),
    [
        (CopyFeed, lambda feed: feed.page(5), ["get_page"]),
        (Groups, lambda feed: feed.page(2), ["get_columns", "get_many"]),
        (Groups, lambda feed: feed[:2], ["get_columns", "get_many"]),
        (Groups, lambda feed: feed.members(feed.group_id("like-photo:1"), 2), ["get_columns", "get_many"]),
        (Groups, lambda feed: feed.group_count(), ["get_columns"]),
        (Groups, lambda feed: feed.remove_group(feed.group_id("like-photo:1")), ["get_slice", "remove_from_many"]),
        (Bell, lambda feed: feed.page(2), ["get_columns", "get_many", "get_many_slices"]),
        (Bell, lambda feed: feed.counts(), ["get_many_slices", "get_slice"]),
        (Bell, lambda feed: (feed.mark_all(read=True), feed.counts()), ["delete", "delete", "get_many_slices"]),
        (Bell, lambda feed: feed.unseen_count(), ["count"]),
        (Bell, lambda feed: feed.mark_activity(LIKES[0]), ["remove_from_many"]),
        (Bell, lambda feed: feed.mark_group(feed.group_id("like-photo:1")), ["get_slice", "remove_from_many"]),
        (Bell, lambda feed: feed.mark_until(LIKES[3]), ["get_many_slices", "remove_from_many"]),
    ],
)
def test_the_round_trips_of_a_call(
    backend: Backend,
    caplog: pytest.LogCaptureFixture,
    kind: type[Any],
    read: Callable[[Any], Any],
    expected: list[str],
) -> None:
    feed = kind("bob", backend)
    feed.add_many(LIKES)
    caplog.clear()
    read(feed)
    assert [record.message.split()[0].partition(".")[2] for record in caplog.records] == expected


def test_the_marks_are_read_without_payloads(backend: Backend) -> None:
    feed = Bell("bob", backend)
    assert (feed._ids._reads_payloads, feed.timelines._reads_payloads) == (False, True)
    feed.add_many(LIKES)
    assert feed._ids.get_many_slices([f"{feed.key}:unseen"], 0, 2) == {f"{feed.key}:unseen": [LIKES[8].id, LIKES[7].id]}
    assert feed._ids.get_slice(feed.key, 0, 1) == [LIKES[8].id]
    assert feed.unseen_ids() == feed.unread_ids() == {one.id for one in LIKES}


def test_a_page_reads_the_marks_of_its_own_groups(backend: Backend, caplog: pytest.LogCaptureFixture) -> None:
    feed = Bell("bob", backend)
    old = [Activity("eve", "share", f"album:{number}", time=START - timedelta(days=number + 1)) for number in range(20)]
    feed.insert_activities(old)
    feed.add_many([*old, *LIKES])
    feed.mark_until(LIKES[4])
    page = feed.page(3)
    assert [(one.group, one.is_seen, one.is_read) for one in page] == [
        (f"like-photo:{photo}", False, False) for photo in (2, 1, 0)
    ]
    counts = feed.counts()
    assert (counts.unseen, counts.unread, counts.unseen_groups, counts.unread_groups) == (4, 29, 3, 23)
    feed.mark_all(read=True)
    feed.reset(unseen=LIKES[7:8])
    caplog.clear()
    assert feed.counts().unseen_groups == 1
    assert "get_slice key='notification:{bob}' count=1 " in caplog.messages[-1]


def test_a_page_is_not_complete_beyond_the_most_entries(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    class Endless(Groups):
        max_length = None

    feed = Endless("bob", backend)
    feed.add_many(LIKES)
    for most, expected in ((20, True), (6, False)):
        monkeypatch.setattr(aggregated_feed, "_MOST_ENTRIES", most)
        first = feed.page(1)
        assert (first.complete, feed.page(5).complete) == (False, expected)
        assert feed.page(5, first.next_cursor).complete is expected
        assert feed.filter(until=LIKES[7].time).page(5).complete is expected


def test_later_pages_of_a_feed_without_clipping(backend: Backend, caplog: pytest.LogCaptureFixture) -> None:
    """Entries above the start of a walk are read only if they may have displaced others."""

    class Whole(Groups):
        max_length = max_per_group = None

    for kind, read in ((Whole, 9), (Groups, 10)):
        feed = kind("bob", backend)
        feed.delete()
        feed.add_many(LIKES)
        cursor = feed.page(1).next_cursor
        late = Activity("ann", "like", "photo:9", time=START + timedelta(days=1))
        feed.insert_activity(late)
        feed.add(late)
        caplog.clear()
        page = feed.page(5, cursor)
        assert [(one.group, one.activity_count, one.activity_count_is_exact) for one in page] == [
            ("like-photo:1", 3, True),
            ("like-photo:0", 3, True),
        ]
        assert f" count={read} " in caplog.messages[0]
