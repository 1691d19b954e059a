"""Merged, filtered and ranked reads: refusals, cursors, errors of the application, bounded calls and decays."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any, NoReturn

import pytest

from feedstore import Activity, connect
from feedstore.errors import (
    ActivityNotFound,
    FeedstoreError,
    InvalidCursorError,
    InvalidTypeError,
    InvalidValueError,
    PositionNotFound,
)
from feedstore.fanout import (
    ActivityFilter,
    ExponentialDecay,
    FilteredFeed,
    GaussDecay,
    HiddenActors,
    LinearDecay,
    MergedFeed,
    RankedFeed,
)
from feedstore.feeds import AggregatedFeed, Feed
from feedstore.serializers import MsgpackSerializer
from feedstore.storage import Backend, Bounds
from feedstore.storage.timeline_hooks import TimelineHooks
from feedstore.testing.feed_suite import CopyFeed
from feedstore.testing.merged_feed_suite import OwnFeed, PushedFeed, posts_of, walk
from feedstore.testing.recording import RecordingMetrics
from polling import poll_until
from stores import fresh_namespace

NOW = datetime(2026, 3, 1, tzinfo=timezone.utc)
HOUR = timedelta(hours=1)


@pytest.fixture
def backend() -> Iterator[Backend]:
    with connect("memory://") as backend:
        yield backend


@pytest.fixture
def merged(backend: Backend) -> MergedFeed:
    """Bob's feed with five posts of ann, merged with ann's own feed, which holds ten."""
    home, own = PushedFeed("bob", backend), OwnFeed("ann", backend)
    posts = posts_of("ann", range(10))
    home.insert_activities(posts)
    home.add_many(posts[:5])
    own.add_many(posts)
    return MergedFeed([home, own, OwnFeed("ann", backend)])


class OtherCollection(Feed):
    key_format = "other:{user_id}"
    timeline_name = "other"


def test_sources_that_cannot_be_merged_are_refused(backend: Backend) -> None:
    home = PushedFeed("bob", backend)
    wrong: list[tuple[Any, str]] = [
        ([], "needs at least one feed"),
        ("bob", "not .bob. of type str"),
        ([home, "ann"], "flat feeds"),
        ([home, AggregatedFeed("ann", backend)], "flat feeds"),
        ([home, OwnFeed("ann", backend).filter(activity_id__gt=3)], "a filter or an ordering"),
        ([home, OwnFeed("ann", backend).order_by("activity_id")], "a filter or an ordering"),
        ([OwnFeed("ann", backend).filter(activity_id__gt=3), OwnFeed("ann", backend)], "a filter or an ordering"),
        ([home, OwnFeed("ann", connect("memory://"))], "another backend"),
        ([home, PushedFeed("bob", connect("memory://"))], "another backend"),
        ([home, CopyFeed("ann", backend)], "serializer_class differs"),
        ([home, OtherCollection("ann", backend)], "timeline_name differs"),
    ]
    for feeds, message in wrong:
        with pytest.raises(FeedstoreError, match=message):
            MergedFeed(feeds)


def test_a_producer_that_is_named_twice_counts_once(merged: MergedFeed) -> None:
    assert [feed.key for feed in merged.feeds] == ["pushed:bob", "own:ann"]
    assert (merged.count(), len(merged[:]), len(merged[1:4])) == (10, 10, 3)


def test_copies_are_merged(backend: Backend) -> None:
    posts = posts_of("ann", range(4))
    feeds = [CopyFeed("bob", backend), CopyFeed("ann", backend)]
    feeds[0].add_many(posts[:2])
    feeds[1].add_many(posts[1:])
    assert feeds[0].serializer_class is MsgpackSerializer
    assert (MergedFeed(feeds)[:], MergedFeed(feeds)[1:3]) == (posts[::-1], posts[1:3][::-1])


def test_limits_and_cursors_are_checked(backend: Backend, merged: MergedFeed) -> None:
    group = AggregatedFeed("bob", backend)
    for post in posts_of("ann", range(2)):
        group.add(Activity("ann", f"verb of {post.object}", post.object, time=post.time))
        group.insert_activity(Activity("ann", f"verb of {post.object}", post.object, time=post.time))
    filtered = FilteredFeed(merged, lambda one: True)
    ranked = RankedFeed(merged, LinearDecay(HOUR))
    group_cursor, flat_cursor = group.page(1).next_cursor, merged.page(1).next_cursor
    ranked_cursor = ranked.page(1).next_cursor
    assert None not in (group_cursor, flat_cursor, ranked_cursor)
    for feed, cursors in (
        (merged, [group_cursor, ranked_cursor, "x"]),
        (filtered, [group_cursor, ranked_cursor, "x"]),
        (ranked, [group_cursor, flat_cursor, "x"]),
        (RankedFeed(OwnFeed("ann", backend), LinearDecay(HOUR)), [ranked_cursor]),
        (merged.order_by("activity_id"), [flat_cursor]),
        (merged.filter(activity_id__lt=0), [ranked_cursor]),
    ):
        limits: tuple[Any, ...] = (0, -1, True, 1.5, None)
        for limit in limits:
            with pytest.raises(FeedstoreError):
                feed.page(limit)
        for cursor in cursors:
            with pytest.raises(InvalidCursorError):
                feed.page(1, cursor)
        wrong: Any = 7
        with pytest.raises(InvalidTypeError):
            feed.page(1, wrong)


def test_positions_beyond_the_end_and_iteration_are_refused(merged: MergedFeed) -> None:
    with pytest.raises(PositionNotFound):
        merged[10]
    with pytest.raises(InvalidTypeError):
        iter(merged)
    with pytest.raises(ActivityNotFound, match="pushed:bob"):
        merged.index_of(7)
    page = merged.filter(activity_id__lt=3).filter(activity_id__gt=3).page(5)
    assert (page.items, page.next_cursor, page.complete) == ([], None, True)


def test_a_subscription_covers_all_sources(backend: Backend) -> None:
    class PublishedFeed(OwnFeed):
        publishes = True

    changes: list[frozenset[str]] = []
    feeds = [PublishedFeed(actor, backend) for actor in ("bob", "ann")]
    with MergedFeed(feeds).subscribe(changes.append, recheck_seconds=None):
        for feed in feeds:
            feed.add(5)
        both = {"own:ann", "own:bob"}
        poll_until(lambda: both <= frozenset().union(*changes), 30, "the changes of both feeds")


def test_ten_thousand_producers_need_a_bounded_number_of_reads(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = [OwnFeed(number, backend) for number in range(10_000)]
    posts = posts_of("ann", range(30))
    backend.activity_storage().add_many(posts)
    own[0].timelines.add_to_each({feed.key: [posts[index % 30]] for index, feed in enumerate(own)})
    merged = MergedFeed([PushedFeed("bob", backend), *own])
    sizes, lowest = [], []
    read = merged.timelines._get_many_pages

    def counted(keys: Any, limit: int, bounds: Bounds, descending: bool) -> Any:
        sizes.append(len(keys))
        lowest.append(bounds.lowest)
        return read(keys, limit, bounds, descending)

    monkeypatch.setattr(merged.timelines, "_get_many_pages", counted)
    assert merged.page(25).items == posts[::-1][:25]
    assert len(sizes) == 11
    assert sum(sizes) == 10_001
    assert lowest == [0, *[posts[4].serialization_id + 1] * 10]


def test_counts_read_copies_of_all_feeds_together(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def one_by_one(*arguments: Any) -> NoReturn:
        raise AssertionError("each timeline is read by itself")

    monkeypatch.setattr(TimelineHooks, "_get_many_pages", one_by_one)
    with connect(redis_url, namespace=fresh_namespace()) as backend:
        feeds = [CopyFeed("bob", backend), CopyFeed("ann", backend)]
        for number, feed in enumerate(feeds):
            feed.add_many(posts_of("ann", range(number, number + 3)))
        assert (MergedFeed(feeds).count(), len(MergedFeed(feeds)[1:])) == (4, 3)


def test_an_error_of_the_application_leaves_the_page_repeatable(merged: MergedFeed) -> None:
    calls = []

    def fails_once(activity: Any) -> bool:
        calls.append(activity)
        if len(calls) == 2:
            raise ZeroDivisionError
        return True

    filtered = FilteredFeed(merged, fails_once)
    ranked = RankedFeed(merged, lambda activity, now: 1 / 0)
    for feed in (filtered, ranked):
        with pytest.raises(ZeroDivisionError):
            feed.page(3)
    assert filtered.page(3).items == merged[:3]


@pytest.mark.parametrize("score", [float("nan"), "much", None, 10**400], ids=["nan", "str", "None", "overflow"])
def test_scores_that_have_no_order_are_refused(merged: MergedFeed, score: Any) -> None:
    with pytest.raises(FeedstoreError, match="the score of activity 0"):
        RankedFeed(merged, lambda activity, now: score).page(3)


def test_arguments_of_filters_and_ranks_are_checked(backend: Backend, merged: MergedFeed) -> None:
    wrong: Any = "feed"
    for refused in (
        lambda: FilteredFeed(wrong, lambda one: True),
        lambda: FilteredFeed(merged, wrong),
        lambda: FilteredFeed(merged, lambda one: True, budget=0),
        lambda: HiddenActors(wrong, "bob"),
        lambda: RankedFeed(wrong, LinearDecay(HOUR)),
        lambda: RankedFeed(merged.order_by("activity_id"), LinearDecay(HOUR)),
        lambda: RankedFeed(FilteredFeed(merged, bool).order_by("activity_id"), LinearDecay(HOUR)),
        lambda: RankedFeed(merged, wrong),
        lambda: RankedFeed(merged, LinearDecay(HOUR), window=0),
        lambda: RankedFeed(merged, LinearDecay(HOUR)).order_by("activity_id"),
        lambda: RankedFeed(merged, LinearDecay(HOUR)).page(3, now=datetime(2026, 1, 1)),  # noqa: DTZ001
        lambda: RankedFeed(merged, LinearDecay(HOUR)).page(
            3, RankedFeed(merged, LinearDecay(HOUR)).page(1).next_cursor, now=NOW
        ),
        lambda: LinearDecay(wrong),
        lambda: LinearDecay(-HOUR),
        lambda: LinearDecay(HOUR, offset=-HOUR),
        lambda: LinearDecay(HOUR, at_scale=1),
        lambda: LinearDecay(HOUR, at_scale=wrong),
    ):
        with pytest.raises((InvalidTypeError, InvalidValueError)):
            refused()


def test_filters_and_ranks_can_be_combined(merged: MergedFeed) -> None:
    odd = FilteredFeed(merged, lambda one: one.extra_context["number"] % 2)
    ranked = RankedFeed(odd, lambda one, now: -one.extra_context["number"])
    assert [one.extra_context["number"] for one in walk(ranked, 2)[0]] == [1, 3, 5, 7, 9]
    oldest_first = odd.order_by("activity_id").filter(activity_id__gt=merged[7])
    assert [one.extra_context["number"] for one in walk(oldest_first, 2)[0]] == [3, 5, 7, 9]
    newest = ranked.filter(activity_id__gt=merged[3])[:2]
    assert [one.extra_context["number"] for one in newest] == [7, 9]


def test_a_filter_asks_once_for_the_activities_of_a_read(merged: MergedFeed) -> None:
    lengths = []

    class Even(ActivityFilter):
        def keep(self, activities: Sequence[Any]) -> list[Any]:
            lengths.append(len(activities))
            return [one for one in activities if one.extra_context["number"] % 2 == 0]

    page = FilteredFeed(merged, Even()).page(4)
    assert ([one.extra_context["number"] for one in page], lengths) == ([8, 6, 4, 2], [4, 6])
    assert page.to_dict()["budget_ended"] is False


def test_reads_are_reported_once() -> None:
    metrics = RecordingMetrics()
    with connect("memory://", metrics=metrics) as backend:
        posts = posts_of("ann", range(3))
        home = PushedFeed("bob", backend)
        home.insert_activities(posts)
        home.add_many(posts)
        merged = MergedFeed([home, OwnFeed("ann", backend)])
        for read in (lambda: merged.page(2), lambda: merged[:2], lambda: RankedFeed(merged, LinearDecay(HOUR))[:2]):
            metrics.take()
            read()
            assert [call[:3] for call in metrics.take() if call[0] == "feed"] == [("feed", "read", MergedFeed)]


@pytest.mark.parametrize(
    ("decay", "expected"),
    [
        (ExponentialDecay(2 * HOUR, offset=HOUR), [1, 1, 0.5, 0.25, 0.5**4]),
        (LinearDecay(2 * HOUR, offset=HOUR, at_scale=0.25), [1, 1, 0.25, 0, 0]),
        (GaussDecay(2 * HOUR, offset=HOUR), [1, 1, 0.5, 0.5**4, 0.5**16]),
    ],
    ids=["exponential", "linear", "gauss"],
)
def test_decays(decay: Callable[[Any, datetime], float], expected: list[float]) -> None:
    ages = [-9, 1, 3, 5, 9]
    found = [decay(Activity("ann", "post", "photo:1", time=NOW - age * HOUR), NOW) for age in ages]
    assert found == expected
