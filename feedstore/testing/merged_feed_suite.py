"""The contract of merged, filtered and ranked reads, which any backend that keeps the others keeps too."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from itertools import chain
from typing import Any

import pytest

from feedstore.activity import Activity
from feedstore.fanout import FilteredFeed, FollowGraph, HiddenActors, LinearDecay, MergedFeed, RankedFeed
from feedstore.feeds import Feed
from feedstore.storage import Backend, Page
from feedstore.testing.samples import START
from feedstore.testing.suite import Suite
from feedstore.testing.walks import pages_of

PRODUCERS = ("ann", "cem", "eve")


class PushedFeed(Feed):
    """The home feed of a reader."""

    key_format = "pushed:{user_id}"
    max_length = 12


class OwnFeed(Feed):
    """The feed of a producer's own activities."""

    key_format = "own:{user_id}"
    max_length = None


def posts_of(actor: str, numbers: range) -> list[Activity]:
    """Return the posts of an actor, oldest first, one each minute."""
    return [
        Activity(actor, "post", f"photo:{each}", time=START + timedelta(minutes=each), extra_context={"number": each})
        for each in numbers
    ]


def stored_posts(backend: Backend) -> list[Activity]:
    """Store nine posts of three producers in their own feeds, and the first six in bob's; return them newest first."""
    found = []
    for start, actor in enumerate(PRODUCERS):
        some = posts_of(actor, range(start, 9, 3))
        OwnFeed(actor, backend).insert_activities(some)
        OwnFeed(actor, backend).add_many(some)
        found += some
    found.sort(key=lambda post: post.serialization_id, reverse=True)
    PushedFeed("bob", backend).add_many(found[3:])
    return found


def merged_feed(backend: Backend) -> MergedFeed:
    """Return bob's feed, merged with those of the producers."""
    return MergedFeed([PushedFeed("bob", backend), *(OwnFeed(actor, backend) for actor in PRODUCERS)])


def walk(feed: Any, limit: int) -> tuple[list[Activity], Page[Any]]:
    """Return the activities of all pages of a feed, and its last page."""
    pages = list(pages_of(partial(feed.page, limit)))
    return list(chain.from_iterable(pages)), pages[-1]


class MergedFeedSuite(Suite):
    """:class:`~feedstore.fanout.MergedFeed`, with filters and ranks above it."""

    @pytest.fixture
    def posts(self, backend: Backend) -> list[Activity]:
        """The posts in the feeds that are merged, newest first."""
        return stored_posts(backend)

    @pytest.fixture
    def merged(self, backend: Backend, posts: list[Activity]) -> MergedFeed:
        """Bob's feed, merged with those of the producers."""
        return merged_feed(backend)

    def test_a_merged_feed_holds_each_entry_once(self, merged: MergedFeed, posts: list[Activity]) -> None:
        """T16, T18: walks in both orders, slices, filters, counts, and activities that are gone."""
        items, last = walk(merged, 4)
        assert (items, last.complete, last.floor) == (posts, True, None)
        assert walk(merged.order_by("activity_id"), 2)[0] == posts[::-1]
        assert (merged[:3], merged[2:5], merged[8], merged[4:4]) == (posts[:3], posts[2:5], posts[8], [])
        some = merged.filter(activity_id__lt=posts[1], activity_id__gte=posts[6])
        assert (walk(some, 2)[0], some.count(), some[:], merged.count()) == (posts[1:7][1:], 5, posts[2:7], 9)
        assert merged.index_of(posts[4]) == 4
        assert merged.contains_many([posts[0], posts[8], 5]) == {posts[0].serialization_id, posts[8].serialization_id}
        merged.activities.remove(posts[1])
        page = merged.page(3)
        assert (page.items, merged.page(2, page.next_cursor).items) == ([posts[0], posts[2]], posts[3:5])
        assert merged[2] == posts[2]

    def test_a_merged_page_knows_the_newest_floor(self, merged: MergedFeed, posts: list[Activity]) -> None:
        """T16: producers that are trimmed between two pages; a page is complete only if all feeds are."""
        page = merged.page(3)
        for feed in merged.feeds[1:3]:
            feed.trim(2)
        merged.feeds[0].trim(3)
        rest, last = walk(merged, 10)
        floors = [feed.timelines.get_page(feed.key, 1).floor for feed in merged.feeds]
        assert (last.floor, last.complete) == (max(one for one in floors if one is not None), False)
        assert {one for one in posts if one.serialization_id >= (floors[0] or 0)} <= set(rest)
        after = merged.page(10, page.next_cursor)
        assert [*page, *after] == rest
        assert walk(merged.filter(activity_id__gte=posts[2]), 10)[1].complete

    def test_filtered_pages_are_filled(self, backend: Backend, merged: MergedFeed, posts: list[Activity]) -> None:
        """Graph: blocks in both directions and mutes hide actors, within a budget of entries."""
        graph = FollowGraph(backend)
        filtered = FilteredFeed(merged, HiddenActors(graph, "bob"), budget=20)
        assert walk(filtered, 4)[0] == posts
        graph.mute("bob", "ann")
        graph.block("cem", "bob")
        kept = [one for one in posts if one.actor == "eve"]
        page = filtered.page(3)
        assert (page.items, page.next_cursor, page.complete, page.budget_ended) == (kept, None, True, False)
        assert graph.hidden_among("bob", PRODUCERS) == {"ann", "cem"}
        assert walk(filtered, 1)[0] == kept
        graph.block("bob", "eve")
        assert filtered.page(5).items == []
        page = FilteredFeed(merged, HiddenActors(graph, "bob"), budget=4).page(2)
        assert (page.items, page.budget_ended, page.complete) == ([], True, False)
        assert page.next_cursor == merged.page(4).next_cursor

    def test_ranked_pages_do_not_shift(self, backend: Backend, merged: MergedFeed, posts: list[Activity]) -> None:
        """T16: a walk by rank keeps its window and its time while new entries arrive and others go."""
        now = START + timedelta(minutes=10)
        decay = LinearDecay(timedelta(minutes=10), at_scale=0.1)

        def score(post: Any, now: Any) -> float:
            return float(post.extra_context["number"] % 3 + decay(post, now))

        ranked = RankedFeed(merged, score, window=8)
        expected = sorted(posts[:8], key=lambda post: score(post, now), reverse=True)
        pages = [ranked.page(3, now=now)]
        new = posts_of("ann", range(20, 23))
        merged.feeds[0].insert_activities(new)
        merged.feeds[0].add_many(new)
        merged.activities.remove(expected[6])
        for _ in range(2):
            pages.append(ranked.page(3, pages[-1].next_cursor))
        assert [page.items for page in pages] == [expected[:3], expected[3:6], expected[7:]]
        assert (pages[-1].next_cursor, pages[-1].complete) == (None, False)
        assert set(ranked.page(3).items) != set(expected[:3])
