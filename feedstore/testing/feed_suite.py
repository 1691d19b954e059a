"""The contract of flat feeds."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from feedstore.activity import Activity
from feedstore.errors import (
    ActivityNotFound,
    InvalidCursorError,
    InvalidTypeError,
    InvalidValueError,
    PositionNotFound,
)
from feedstore.feeds import Feed, UserId
from feedstore.serializers import MsgpackSerializer
from feedstore.storage import Backend
from feedstore.testing.recording import RecordingMetrics
from feedstore.testing.suite import Suite, counted

START = datetime(2026, 1, 1, tzinfo=timezone.utc)


class HomeFeed(Feed):
    """A feed of references."""

    key_format = "home:{user_id}"
    max_length = 20
    updates: Sequence[Any] = ()

    def on_update_feed(self, new: Sequence[Any], deleted: Sequence[Any]) -> None:
        """Keep the arguments."""
        self.updates = (*self.updates, (list(new), list(deleted)))


class CopyFeed(Feed):
    """A feed of whole activities."""

    key_format = "copy:{user_id}"
    serializer_class = MsgpackSerializer
    max_length = 20


class PublishedFeed(HomeFeed):
    """A feed whose writes are published."""

    publishes = True


def deeds(number: int, first: int = 0) -> list[Activity]:
    """Return activities, oldest first, one each minute."""
    return [
        Activity("ann", "like", f"photo:{index}", time=START + timedelta(minutes=index))
        for index in range(first, first + number)
    ]


class FeedSuite(Suite):
    """:class:`~feedstore.feeds.Feed`: writes, slices, filters, pages."""

    @pytest.fixture
    def home(self, backend: Backend) -> HomeFeed:
        """A feed with ten activities."""
        feed = HomeFeed("bob", backend)
        feed.insert_activities(deeds(10))
        feed.add_many(deeds(10))
        return feed

    def test_feed_slices_are_those_of_a_list(self, home: HomeFeed) -> None:
        """T7: positions, open ends and steps as a Python list has them, in both orders."""
        newest = deeds(10)[::-1]
        for feed, model in ((home, newest), (home.order_by("activity_id"), newest[::-1])):
            for part in (slice(3), slice(2, 5), slice(5, 5), slice(8, 99), slice(50, 60), slice(None), slice(1, 9, 3)):
                assert feed[part] == model[part]
            assert [feed[0], feed[9]] == [model[0], model[9]]
            with pytest.raises(IndexError):
                feed[10]
            with pytest.raises(PositionNotFound):
                feed[10]

    def test_feed_writes_count_and_report(self, backend: Backend, home: HomeFeed) -> None:
        """T1: adding counts the new, removing those that were there; ``on_update_feed`` gets each call's arguments."""
        assert home.add_many(deeds(3, 9)) == counted(backend, 2)
        assert home.remove_many([deeds(1)[0], deeds(1, 1)[0].id, 5]) == counted(backend, 2)
        assert home.remove(deeds(1, 2)[0]) == counted(backend, 1)
        assert home.updates[1:] == (
            (deeds(3, 9), []),
            ([], [deeds(1)[0], deeds(1, 1)[0].id, 5]),
            ([], deeds(1, 2)),
        )
        assert (home.count(), home.contains(deeds(1)[0]), deeds(1, 4)[0] in home) == (9, False, True)
        assert home.index_of(deeds(1, 10)[0]) == 1
        with pytest.raises(ActivityNotFound):
            home.index_of(5)

    def test_feed_keeps_its_length(self, backend: Backend, home: HomeFeed) -> None:
        """T17: a write trims to ``max_length`` unless ``trim=False``; ``trim`` and ``delete`` shorten it."""
        home.add_many(deeds(25, 10), trim=False)
        assert home.count() == 35
        home.add_many(deeds(1, 35))
        assert 20 <= home.count() <= 20 + backend.abilities.fan_out_excess
        home.trim(3)
        assert home.count() == 3
        assert home.page(9).complete is False
        home.delete()
        assert (home.count(), home[:]) == (0, [])

    def test_feed_leaves_out_what_is_gone(self, home: HomeFeed) -> None:
        """T12: slices and pages leave out an entry whose activity is missing, and its position holds nothing."""
        home.remove_activity(deeds(1, 9)[0])
        with pytest.raises(PositionNotFound, match="position 0"):
            home[0]
        assert home[:2] == deeds(1, 8)
        assert home.page(3).items == deeds(2, 7)[::-1]

    def test_feed_filters_accumulate(self, home: HomeFeed) -> None:
        """T3: a filter is a copy, all filters are honoured, and times are inclusive."""
        all_deeds = deeds(10)
        some = home.filter(activity_id__gte=all_deeds[2]).filter(activity_id__lt=all_deeds[8])
        assert (some[:], some.count()) == (all_deeds[2:8][::-1], 6)
        assert some.filter(since=all_deeds[4].time, until=all_deeds[6].time)[:] == all_deeds[4:7][::-1]
        assert some.filter(activity_id__gt=all_deeds[8])[:] == []
        assert home.filter(activity_id__gt=all_deeds[5]).order_by("activity_id")[:2] == all_deeds[6:8]
        assert home.count() == 10

    def test_feed_pages_walk_within_filters(self, home: HomeFeed) -> None:
        """T16: a walk returns each entry of the filter once, in both orders."""
        all_deeds = deeds(10)
        some = home.filter(activity_id__gt=all_deeds[1], activity_id__lte=all_deeds[7])
        for feed, expected in ((some, all_deeds[7:1:-1]), (some.order_by("activity_id"), all_deeds[2:8])):
            found: list[Any] = []
            page = feed.page(4)
            while True:
                found += page.items
                if page.next_cursor is None:
                    break
                page = feed.page(4, page.next_cursor)
            assert found == expected
            assert page.complete is True
        nothing = some.filter(activity_id__gt=all_deeds[8]).page(5)
        assert (nothing.items, nothing.next_cursor, nothing.complete) == ([], None, True)

    def test_feed_pages_are_complete_at_every_size(self, home: HomeFeed) -> None:
        """T16: the last page of a trimmed feed is not complete, in both orders and with pages of every size."""
        home.trim(4)
        for feed in (home, home.order_by("activity_id")):
            for limit in (1, 2, 9):
                page = feed.page(limit)
                while page.next_cursor is not None:
                    page = feed.page(limit, page.next_cursor)
                assert page.complete is False
        newest = home.filter(activity_id__gte=deeds(1, 7)[0]).order_by("activity_id")
        assert newest.page(2, newest.page(2).next_cursor).complete is True

    def test_feed_of_copies_reads_no_other_storage(self, backend: Backend) -> None:
        """T10: with a serializer of whole activities nothing else needs to be stored."""
        feed = CopyFeed("bob", backend)
        feed.add_many(deeds(5))
        assert (feed[:2], feed.page(2).items, feed[4]) == (deeds(5)[:2:-1], deeds(5)[:2:-1], deeds(1)[0])
        assert feed.order_by("activity_id").page(2).items == deeds(2)

    def test_feeds_of_many_users(self, backend: Backend) -> None:
        """T1: a fan-out reaches every feed, trims it, and is taken back."""
        users = [f"user{number}" for number in range(50)]
        assert HomeFeed.add_to_feeds(backend, users, deeds(3)) == counted(backend, 150)
        assert HomeFeed("user49", backend).count() == 3
        assert HomeFeed.remove_from_feeds(backend, users, deeds(2)) == counted(backend, 100)
        assert HomeFeed("user0", backend).count() == 1

    def test_feed_in_a_batch(self, backend: Backend) -> None:
        """T10: an activity and its entry are stored together."""
        feed = HomeFeed("{bob}", backend)
        with backend.batch() as batch:
            feed.insert_activity(deeds(1)[0], batch_interface=batch)
            assert feed.add(deeds(1)[0], batch_interface=batch) is None
        assert feed[:5] == deeds(1)

    def test_feeds_of_two_users_are_two(self, backend: Backend) -> None:
        """T10: user ids that hold separators, braces or percent signs never share a feed."""
        users: list[UserId] = ["bob", "bob:x", "bob%3Ax", "{bob}", "%7Bbob%7D", "b", 7, "07"]
        for number, user in enumerate(users):
            HomeFeed(user, backend).add_many(range(number + 1))
        assert [HomeFeed(user, backend).count() for user in users] == [*range(1, len(users) + 1)]

    def test_feed_publishes_its_writes(self, backend: Backend) -> None:
        """N1: a subscriber of a feed whose class publishes is called after a write."""
        feed, changed = PublishedFeed("bob", backend), threading.Event()
        with feed.subscribe(lambda keys: changed.set(), recheck_seconds=None):
            PublishedFeed("bob", backend).add_many(deeds(1))
            assert changed.wait(30)

    def test_feed_calls_are_reported_once(self, backend: Backend) -> None:
        """Metrics: each call of a feed is reported once, those of a batch after its commit."""
        metrics = RecordingMetrics()
        backend.session.metrics = metrics
        feed, some = HomeFeed("{bob}", backend), deeds(3)
        feed.insert_activities(some)
        metrics.take()
        calls: list[tuple[Callable[[], object], tuple[Any, ...]]] = [
            (lambda: feed.add_many(some), ("write", HomeFeed, 3)),
            (lambda: feed[:2], ("read", HomeFeed, 2)),
            (lambda: feed.page(5), ("read", HomeFeed, 3)),
            (lambda: feed.remove(some[0]), ("remove", HomeFeed, 1)),
            (lambda: HomeFeed.add_to_feeds(backend, ["ann", "eve"], some), ("add_to_feeds", HomeFeed, 3)),
            (
                lambda: HomeFeed.add_to_each_feed(backend, {"cem": some, 7: some[:1], "7": some[1:]}),
                ("add_to_each_feed", HomeFeed, 3),
            ),
            (lambda: HomeFeed.remove_from_feeds(backend, ["ann"], some[:2]), ("remove_from_feeds", HomeFeed, 2)),
        ]
        for call, report in calls:
            call()
            assert [one[1:] for one in metrics.take() if one[0] == "feed"] == [report]
        assert [operation for operation, owner in metrics.take_timed() if owner is HomeFeed] == [
            "feed read",
            "feed read",
            "feed fanout",
            "feed fanout",
            "feed fanout",
        ]
        assert [HomeFeed(name, backend).count() for name in ("cem", 7)] == [3, 3]
        with backend.batch() as batch:
            feed.add(some[0], batch_interface=batch)
            assert metrics.take() == []
        assert [one for one in metrics.take() if one[0] == "feed"] == [("feed", "write", HomeFeed, 1)]
        assert feed.updates[-1] == (some[:1], [])


class FeedArgumentSuite(Suite):
    """The arguments that a feed refuses, and the attributes that a class of feeds refuses."""

    def test_feed_refuses_to_be_read_without_bounds(self, backend: Backend) -> None:
        """T6: iterating, negative positions and steps are refused."""
        home = HomeFeed("bob", backend)
        with pytest.raises(TypeError, match=r"feed\[:25\].*feed\.page"):
            list(home)
        for position in (-1, slice(-1), slice(-3, None), slice(0, 5, -1), slice(0, 5, 0)):
            with pytest.raises(InvalidValueError):
                home[position]
        with pytest.raises(TypeError):
            home["1"]  # type: ignore[call-overload]
        with pytest.raises(InvalidValueError):
            home.page(0)

    def test_feed_refuses_unknown_filters_and_orders(self, backend: Backend) -> None:
        """T5: a filter or an ordering that a feed does not know is refused."""
        home = HomeFeed("bob", backend)
        with pytest.raises(ValueError, match=r"unknown filter 'actor'; .* since, until"):
            home.filter(actor="ann")
        with pytest.raises(ValueError, match="cannot order by"):
            home.order_by("actor")
        with pytest.raises(TypeError):
            home.filter(since="yesterday")  # type: ignore[arg-type]
        with pytest.raises(InvalidCursorError):
            home.page(5, "altered")

    def test_feed_classes_and_users_are_checked(self, backend: Backend) -> None:
        """T5: a class without a valid format or length, and a user without an id, are refused."""
        with pytest.raises(InvalidValueError, match="no placeholder"):
            type("Keyless", (Feed,), {"key_format": "home"})
        with pytest.raises(InvalidValueError, match="max_length"):
            type("Empty", (Feed,), {"max_length": 0})
        with pytest.raises(InvalidValueError, match="pass the length"):
            type("Endless", (Feed,), {"max_length": None})("bob", backend).trim()
        for user in ("", None, True, 1.5):
            with pytest.raises((InvalidValueError, InvalidTypeError)):
                HomeFeed(user, backend)  # type: ignore[arg-type]
        with pytest.raises(InvalidTypeError, match=r"feedstore\.connect"):
            HomeFeed("bob", "memory://")  # type: ignore[arg-type]
        with pytest.raises(InvalidTypeError, match="LiveTimelines"):
            HomeFeed("bob", backend).stream(None)
        with pytest.raises(InvalidValueError, match="holds copies of activities"):
            CopyFeed("bob", backend).stream(None)
