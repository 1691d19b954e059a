"""Merged, filtered and ranked pages of random feeds, each compared with the result of brute force."""

from __future__ import annotations

import random
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

import soak
from feedstore.activity import Activity
from feedstore.fanout import FilteredFeed, MergedFeed, RankedFeed
from feedstore.storage import Backend, Page
from feedstore.storage.page import cursor_bounds
from feedstore.testing import OpenBackend
from feedstore.testing.merged_feed_suite import OwnFeed, PushedFeed
from feedstore.testing.samples import START

FEEDS = 6
MOMENTS = 40


def is_shown(hidden: set[str], activity: Activity) -> bool:
    """Return whether the actor of an activity is none of the hidden ones."""
    return activity.actor not in hidden


def score_of(activity: Activity, now: Any = None) -> int:
    """Return a score that many activities share."""
    return int(str(activity.object)[6:]) % 4


class Model:
    """Random feeds of activities, and the entries that they hold."""

    def __init__(self, backend: Backend, seed: int) -> None:
        self.choose = random.Random(seed)
        self.feeds: list[Any] = [PushedFeed("bob", backend), *(OwnFeed(number, backend) for number in range(1, FEEDS))]
        self.merged = MergedFeed([*self.feeds, OwnFeed(1, backend), OwnFeed("never", backend)])
        self.entries: list[set[int]] = [set() for _ in self.feeds]
        self.stored: dict[int, Activity] = {}
        self.bounds = (0, 2**128 - 1)
        self.descending = True
        for _ in range(30):
            self.change()

    def change(self) -> None:
        """Change a random feed, or remove an activity."""
        number = self.choose.randrange(FEEDS)
        feed, entries = self.feeds[number], self.entries[number]
        action = self.choose.choices(["add", "remove", "trim", "erase"], [8, 2, 1, 1])[0]
        some = [self._activity() for _ in range(self.choose.randint(1, 4))]
        if action == "add":
            self.stored |= {one.serialization_id: one for one in some}
            feed.insert_activities(some)
            feed.add_many(some, trim=False)
            entries |= {one.serialization_id for one in some}
        elif action == "remove":
            feed.remove_many(some)
            entries -= {one.serialization_id for one in some}
        elif action == "trim":
            length = self.choose.randint(2, 9)
            feed.trim(length)
            entries -= set(sorted(entries, reverse=True)[length:])
        elif self.stored:
            gone = self.choose.choice(sorted(self.stored))
            feed.remove_activity(gone)
            del self.stored[gone]

    def _activity(self) -> Activity:
        minute = self.choose.randrange(MOMENTS)
        return Activity(f"user:{minute % 5}", "post", f"photo:{minute}", time=START + timedelta(minutes=minute))

    def restrict(self) -> None:
        """Choose a filter and an ordering."""
        ends = sorted(self._activity().serialization_id for _ in range(2))
        if self.choose.random() < 0.5:
            self.bounds = (ends[0], ends[1])
            self.merged = self.merged.filter(activity_id__gte=ends[0], activity_id__lte=ends[1])
        if self.choose.random() < 0.5:
            self.descending = False
            self.merged = self.merged.order_by("activity_id")

    def ids_after(self, last: int | None) -> list[int]:
        """Return the ids of the entries that follow an id in the walk."""
        ids = {one for entries in self.entries for one in entries if self.bounds[0] <= one <= self.bounds[1]}
        if last is not None:
            ids = {one for one in ids if (one < last) == self.descending and one != last}
        return sorted(ids, reverse=self.descending)

    def activities(self, ids: list[int]) -> list[Activity]:
        """Return the activities of ids that are stored."""
        return [self.stored[one] for one in ids if one in self.stored]

    def floor(self) -> int | None:
        """Return the newest floor."""
        floors = [feed.timelines.get_page(feed.key, 1).floor for feed in self.feeds]
        return max((one for one in floors if one is not None), default=None)

    def is_complete(self, page: Page[Any]) -> bool:
        """Return whether a page must be complete."""
        return page.next_cursor is None and (self.floor() or 0) <= self.bounds[0]


@pytest.mark.soak
@pytest.mark.parametrize("backend_kind", ["memory", "sqlite", "redis"])
def test_every_merged_page_is_that_of_brute_force(open_backend: OpenBackend) -> None:
    for seed in range(soak.count(3, 200)):
        model = Model(open_backend(), seed)
        model.restrict()
        assert model.merged.count() == len(model.ids_after(None)), seed
        assert model.merged[2:7] == model.activities(model.ids_after(None)[2:7]), seed
        cursor, last = None, None
        for step in range(100):
            limit = model.choose.randint(1, 5)
            page = model.merged.page(limit, cursor)
            ids = model.ids_after(last)
            assert page.items == model.activities(ids[:limit]), (seed, step)
            assert (page.next_cursor is None) == (len(ids) <= limit), (seed, step)
            assert (page.floor, page.complete) == (model.floor(), model.is_complete(page)), (seed, step)
            if page.next_cursor is None:
                break
            cursor, last = page.next_cursor, ids[limit - 1]
            model.change()
        assert page.next_cursor is None


@pytest.mark.soak
@pytest.mark.parametrize("backend_kind", ["memory", "sqlite", "redis"])
def test_every_filtered_page_is_that_of_brute_force(open_backend: OpenBackend) -> None:
    for seed in range(soak.count(2, 200)):
        model = Model(open_backend(), seed)
        model.restrict()
        hidden, budget = {f"user:{model.choose.randrange(5)}" for _ in range(3)}, model.choose.randint(2, 9)
        filtered = FilteredFeed(model.merged, partial(is_shown, hidden), budget=budget)
        cursor, seen = None, list[Activity]()
        everything = [one for one in model.activities(model.ids_after(None)) if is_shown(hidden, one)]
        rest = model.ids_after(None)
        for step in range(100):
            limit = model.choose.randint(1, 5)
            page = filtered.page(limit, cursor)
            kept = [one for one in model.activities(rest[:budget]) if is_shown(hidden, one)]
            assert page.items == kept[:limit], (seed, step)
            assert page.budget_ended == (len(kept) < limit and len(rest) > budget), (seed, step)
            assert page.complete == model.is_complete(page), (seed, step)
            seen += page.items
            if page.next_cursor is None:
                break
            cursor = page.next_cursor
            within = cursor_bounds(cursor, model.descending)
            rest = [one for one in rest if within.lowest <= one <= within.highest]
        assert (page.next_cursor, seen) == (None, everything), seed


@pytest.mark.soak
@pytest.mark.parametrize("backend_kind", ["memory", "sqlite", "redis"])
def test_every_ranked_page_is_that_of_brute_force(open_backend: OpenBackend) -> None:
    for seed in range(soak.count(2, 200)):
        model = Model(open_backend(), seed)
        window = model.choose.randint(3, 25)
        ranked = RankedFeed(model.merged, score_of, window=window)
        in_window = model.activities(model.ids_after(None)[:window])
        expected = sorted(in_window, key=lambda one: (-score_of(one), -one.serialization_id))
        assert ranked[:] == expected
        cursor, found = None, list[Activity]()
        while True:
            page = ranked.page(model.choose.randint(1, 5), cursor)
            found += page.items
            cursor = page.next_cursor
            if cursor is None:
                break
            later = START + timedelta(minutes=MOMENTS + len(found))
            newer = Activity("user:1", "post", "photo:3", time=later)
            model.merged.activities.add(newer)
            model.feeds[0].add_many([newer], trim=False)
        assert found == expected, seed
        assert page.complete == (len(model.ids_after(None)) <= window and model.floor() is None), seed
