"""The contract of aggregated feeds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any, ClassVar

import pytest

from feedstore.activity import Activity
from feedstore.aggregated import AggregatedActivity
from feedstore.errors import InvalidCursorError, InvalidTypeError, InvalidValueError, StoredDataError
from feedstore.feeds import AggregatedFeed, Aggregator, EntryGroup, NotificationAggregator, TemplateAggregator
from feedstore.ids import id_to_text
from feedstore.serializers import MsgpackSerializer
from feedstore.storage import Backend
from feedstore.testing.processes import Child, run_in_threads
from feedstore.testing.recording import RecordingMetrics
from feedstore.testing.suite import OpenBackend, Suite, counted

START = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
ACTORS = ("ann", "bob", "cem", "eve")
EACH = 4


class VerbFeed(AggregatedFeed):
    """A feed of one group for each verb and day."""

    key_format = "verbs:{user_id}"


class PhotoFeed(AggregatedFeed):
    """A feed of one group for each verb and object, which keeps few members."""

    key_format = "photos:{user_id}"
    aggregator: ClassVar[Aggregator] = NotificationAggregator(window=None)
    max_length = 30
    max_per_group = 4
    shown_per_group = 2


class SmallFeed(PhotoFeed):
    """A feed that keeps few entries."""

    key_format = "small:{user_id}"
    max_length = 2


class WideFeed(PhotoFeed):
    """A feed whose groups are never clipped."""

    key_format = "wide:{user_id}"
    max_length = 800
    max_per_group = 100


class RankedFeed(PhotoFeed):
    """A feed that shows the largest group first."""

    aggregator = TemplateAggregator("{verb}-{object}", ranking=lambda group: group.activity_count)


class TopicFeed(PhotoFeed):
    """A feed of one group for each topic."""

    key_format = "topics:{user_id}"
    aggregator = TemplateAggregator("{extra_context[topic]}")


def deed(minute: int, verb: str = "like", photo: int = 0) -> Activity:
    """Return an activity of a minute."""
    actor = ACTORS[minute % len(ACTORS)]
    return Activity(actor, verb, f"photo:{photo}", time=START + timedelta(minutes=minute))


def _on_topic(minute: int, topic: str | None) -> Activity:
    context = {} if topic is None else {"topic": topic}
    return Activity("ann", "like", f"photo:{minute}", time=START + timedelta(minutes=minute), extra_context=context)


def likes(photos: Sequence[int]) -> list[Activity]:
    """Return likes of photos, one each minute, oldest first."""
    return [deed(minute, photo=photo) for minute, photo in enumerate(photos)]


def stored(feed: AggregatedFeed, activities: Sequence[Activity]) -> list[Activity]:
    """Store activities and add them to a feed, as a consumer that delivers each message twice."""
    feed.insert_activities(activities)
    for _ in range(2):
        feed.add_many(activities)
    return list(activities)


def names(items: Sequence[AggregatedActivity]) -> list[str]:
    """Return the groups of aggregated activities."""
    return [item.group for item in items]


class AggregatedFeedSuite(Suite):
    """:class:`~feedstore.feeds.AggregatedFeed`: groups, counts, removal, pages."""

    def test_aggregated_feed_groups_on_read(self, backend: Backend) -> None:
        """T10: groups come newest first, with their newest members, distinct actors and exact counts."""
        feed = VerbFeed("bob", backend)
        given = stored(feed, [deed(minute, "love" if minute == 3 else "like", minute) for minute in range(8)])
        loves, liked = sorted(feed[:10], key=lambda one: one.verb, reverse=True)
        assert names(feed[:10]) == ["like-2026-01-01", "love-2026-01-01"]
        assert loves == AggregatedActivity(
            feed.group_id("love-2026-01-01"), "love-2026-01-01", (given[3],), 1, True, given[3].time, given[3].time
        )
        assert liked.activities == tuple(given[:2:-1][:4] + given[2:3])
        assert (liked.activity_count, liked.activity_count_is_exact) == (7, True)
        assert (liked.actor_ids, liked.actor_count, liked.other_actor_count) == (["eve", "cem", "bob", "ann"], 6, 5)
        assert liked.object_ids == ["photo:7", "photo:6", "photo:5", "photo:4", "photo:2"]
        assert (liked.created_at, liked.updated_at, liked.last_activity) == (given[0].time, given[7].time, given[7])
        assert (feed.count(), feed.group_count(), feed[1]) == (8, 2, loves)
        assert VerbFeed("ann", backend).group_id(liked.group) != liked.id

    def test_aggregated_feed_clips_its_groups(self, backend: Backend) -> None:
        """T20: a group with many members displaces no other, and its count says that it is the least."""
        feed = PhotoFeed("bob", backend)
        stored(feed, likes([1, 2, *[0] * 40]))
        groups = {one.group: one for one in feed[:]}
        assert set(groups) == {"like-photo:0", "like-photo:1", "like-photo:2"}
        counts = sorted((one.activity_count, one.activity_count_is_exact) for one in groups.values())
        assert counts == [(1, True), (1, True), (4, False)]
        assert feed.trim(1) == counted(backend, 5)
        (last,) = feed[:]
        assert (last.activity_count, last.activity_count_is_exact) == (1, False)

    def test_aggregated_feed_is_exact_between_the_adds_that_apply_its_limits(self, backend: Backend) -> None:
        """T20: groups, counts and the floor are those of a feed whose every add applied the limits."""
        feed = SmallFeed("bob", backend)
        given = likes([number // 3 % 2 if number % 4 else number for number in range(24)])
        feed.insert_activities(given)
        for number, activity in enumerate(given):
            feed.add(activity)
            page = feed.page(9)
            shown = sorted((one.serialization_id for group in page for one in group.activities), reverse=True)
            assert shown == [one.serialization_id for one in given[max(number - 1, 0) : number + 1][::-1]]
            assert (feed.count(), page.complete) == (min(number + 1, 2), number < 2)
            if number > 1 and backend.abilities.exact_fan_out_length:
                assert page.floor == given[number - 2].serialization_id + 1
                before = feed.filter(activity_id__lt=activity)
                assert (before.count(), before.group_count()) == (1, 1)
        assert feed.trim() is None or feed.timelines.count(feed.key) == 2

    def test_aggregated_feed_says_which_counts_are_exact(self, backend: Backend) -> None:
        """T20: newer members that a filter or a walk leaves out make the count of a clipped group the least."""
        feed = PhotoFeed("bob", backend)
        given = stored(feed, likes([1, 2, *[0] * 10, 3]))
        group = feed[1]
        some = feed.filter(activity_id__lte=given[9], activity_id__gte=given[1])[:]
        assert [(one.activity_count, one.activity_count_is_exact) for one in some] == [(2, False), (1, True)]
        first = feed.page(1)
        stored(feed, [deed(30), deed(31)])
        page = feed.page(2, first.next_cursor)
        assert [(one.activity_count, one.activity_count_is_exact) for one in page] == [(2, False), (1, True)]
        assert [one.activities for one in feed.filter(until=given[11].time).page(1)] == [(given[11], given[10])]
        members = [feed.members(group, limit) for limit in (3, 4, 9)]
        assert [(len(one), one.complete) for one in members] == [(3, False), (4, False), (4, False)]
        assert [len(feed.members(group, 9, members[0].next_cursor)), feed.members(feed[1], 9).complete] == [1, True]

    def test_aggregated_feed_removes(self, backend: Backend) -> None:
        """T1: a group keeps the members that are left, goes with the last, and is removed as a whole."""
        feed = WideFeed("bob", backend)
        given = stored(feed, likes([0, 1, 0, 1, 0, 2]))
        assert feed.remove_many([given[4], given[5]]) == counted(backend, 2)
        one, zero = feed[:]
        assert (one.activities, zero.activities) == ((given[3], given[1]), (given[2], given[0]))
        assert feed.remove_group(zero) == counted(backend, 2)
        assert [each.id for each in feed[:]] == [one.id]
        feed.remove_activity(given[3])
        assert (feed[0].activities, feed[0].activity_count) == ((given[1],), 2)
        feed.remove_activity(given[1])
        assert feed[:] == []

    def test_aggregated_feed_removes_a_group_beyond_its_length(self, backend: Backend) -> None:
        """T1: a group is removed with the members that an add without a trim has left beyond ``max_length``."""
        feed = SmallFeed("bob", backend)
        given = likes([0, 0, 1, 1, 0])
        feed.insert_activities(given)
        feed.add_many(given, trim=False)
        assert feed.remove_group(feed.group_id("like-photo:0")) == counted(backend, 3)
        assert names(feed[:]) == ["like-photo:1"]

    def test_aggregated_feed_pages_walk(self, backend: Backend) -> None:
        """T16: a walk returns no group twice, also if entries are added and removed during the walk."""
        feed = WideFeed("bob", backend)
        given = stored(feed, likes([0, 1, 2, 3, 4, 0, 1]))
        page, found = feed.page(2), []
        while True:
            found += names(page.items)
            if page.next_cursor is None:
                break
            number = len(given)
            stored(feed, [deed(number, photo=0), deed(number + 1, photo=50 + number)])
            feed.remove(given[6])
            page = feed.page(2, page.next_cursor)
        assert [name[-1] for name in found] == list("10432")
        assert page.complete is True
        assert names(feed.order_by("activity_id").page(1).items)[0].endswith("1")

    def test_a_walk_returns_the_groups_that_newer_members_displaced(self, backend: Backend) -> None:
        """T16: a group that the feed holds throughout a walk is returned, also if none of its members stays."""
        feed = PhotoFeed("bob", backend)
        stored(feed, likes([0, 1, 2]))
        page = feed.page(1)
        stored(feed, [deed(10 + number, photo=photo) for number, photo in enumerate([0, 0, 0, 0, 3])])
        rest = feed.page(9, page.next_cursor)
        assert [(one.group[-1], one.activity_count) for one in rest] == [("0", 4), ("1", 1)]
        assert [one.group[-1] for one in feed.order_by("activity_id").page(9)] == ["1", "2", "0", "3"]
        within = feed.filter(until=START + timedelta(minutes=2))
        assert [one.group[-1] for one in within.page(9, within.page(1).next_cursor)] == ["1"]

    def test_aggregated_feed_pages_the_members_of_a_group(self, backend: Backend) -> None:
        """T16: the members of one group are paged, newest first."""
        feed = WideFeed("bob", backend)
        given = stored(feed, likes([0, 1, 0, 0, 1, 0, 0]))
        group, found = feed[0], []
        page = feed.members(group, 2)
        while page.next_cursor is not None:
            found += page.items
            page = feed.members(id_to_text(group.id), 2, page.next_cursor)
        assert [*found, *page.items] == [given[place] for place in (6, 5, 3, 2, 0)]
        assert page.complete is True
        with pytest.raises(InvalidValueError, match="not one of the feed"):
            WideFeed("ann", backend).members(group, 2)

    def test_aggregated_feed_filters_and_ranks(self, backend: Backend) -> None:
        """T3: groups consist of the entries within the filters; a ranking orders them."""
        feed = RankedFeed("bob", backend)
        given = stored(feed, likes([0, 0, 0, 1, 1, 2]))
        assert [one.activity_count for one in feed[:]] == [3, 2, 1]
        some = feed.filter(activity_id__gte=given[2])
        assert [one.activity_count for one in some[:]] == [2, 1, 1]
        assert [one.activities for one in some[1:]] == [(given[5],), (given[2],)]
        assert (some.group_count(), some.filter(until=given[2].time).page(5).items[0].activity_count) == (3, 1)

    def test_aggregated_feed_names_foreign_payloads(self, backend: Backend) -> None:
        """T14: an entry that no aggregated feed wrote is an error that names it, until the entry is removed."""
        feed = WideFeed("bob", backend)
        given = stored(feed, likes([0, 1]))
        foreign = deed(9)
        for serializer in (None, MsgpackSerializer):
            backend.timeline_storage(serializer).add(feed.key, foreign)
            with pytest.raises(StoredDataError, match=id_to_text(foreign.id)):
                feed[:5]
            feed.remove(foreign)
            assert [one.activities for one in feed[:5]] == [(given[1],), (given[0],)]

    def test_an_edit_leaves_an_aggregated_feed_readable(self, backend: Backend) -> None:
        """T14: a group whose activities the aggregator names otherwise, or cannot name, has its hash as its name."""
        feed = TopicFeed("bob", backend)
        stored(feed, [_on_topic(minute, topic) for minute, topic in enumerate("xyzz")])
        feed.insert_activities([_on_topic(0, None), _on_topic(1, "z"), _on_topic(3, None)])
        z, y, x = feed[:5]
        hexes = [id_to_text(feed.group_id(topic)).replace("-", "")[16:] for topic in "xyz"]
        assert (names([x, y, z]), [x.id, y.id]) == ([*hexes[:2], "z"], [feed.group_id("x"), feed.group_id("y")])
        assert (feed.page(5).items, len(feed.members(y, 5))) == ([z, y, x], 1)

    def test_aggregated_feeds_of_many_users(self, backend: Backend) -> None:
        """Metrics: a fan-out reaches every feed, and each call is reported once."""
        metrics = RecordingMetrics()
        backend.session.metrics = metrics
        given = likes([0, 0, 1])
        assert WideFeed.add_to_feeds(backend, ACTORS, given) == counted(backend, 12)
        feed = WideFeed("eve", backend)
        feed.insert_activities(given)
        assert [one.activity_count for one in feed.page(5)] == [1, 2]
        feed.members(feed[1], 5)
        assert [one for one in metrics.take() if one[0] == "feed"] == [
            ("feed", "add_to_feeds", WideFeed, 3),
            ("feed", "read", WideFeed, 3),
            ("feed", "read", WideFeed, 2),
            ("feed", "read", WideFeed, 2),
        ]
        assert WideFeed.remove_from_feeds(backend, ACTORS, given[:1]) == counted(backend, 4)

    def test_aggregated_adds_commute(self, open_backend: OpenBackend, backend: Backend) -> None:
        """Decision 7: eight threads and four processes, which repeat their adds, leave the groups of one thread."""
        given = likes([number % 5 for number in range(8 * EACH)])

        def add(worker: int, to: Backend) -> None:
            feed = WideFeed("bob", to)
            for activity in given[worker::8]:
                stored(feed, [activity])

        run_in_threads([partial(add, worker, backend) for worker in range(8)])
        alone = WideFeed("alone", backend)
        alone.add_many(given)
        expected = [(one.group, one.activities, one.activity_count) for one in alone[:]]
        assert [(one.group, one.activities, one.activity_count) for one in WideFeed("bob", backend)[:]] == expected
        if backend.abilities.shared_between_processes:
            WideFeed("bob", backend).delete()
            children = [Child(partial(_add_half, add, open_backend, backend.namespace, number)) for number in range(4)]
            for child in children:
                child.result()
            assert [(one.group, one.activities, one.activity_count) for one in WideFeed("bob", backend)[:]] == expected


def _add_half(add: Any, open_backend: OpenBackend, namespace: str, number: int) -> None:
    for worker in (2 * number, 2 * number + 1):
        add(worker, open_backend(namespace))


class AggregatedFeedArgumentSuite(Suite):
    """The aggregators, arguments and attributes that an aggregated feed refuses."""

    def test_aggregated_feed_refuses_what_names_no_group(self, backend: Backend) -> None:
        """T13: an aggregator that fails, or returns no valid name, is an error before anything is written."""
        for function, error in (
            (lambda activity: activity.unknown, InvalidValueError),
            (lambda activity: None, InvalidTypeError),
            (lambda activity: "", InvalidValueError),
            (lambda activity: "x" * 10_000_000, InvalidValueError),
        ):
            kind: Any = type("Broken", (AggregatedFeed,), {"aggregator": function})
            feed = kind("bob", backend)
            with pytest.raises(error) as caught:
                feed.add_many([deed(1)])
            assert len(str(caught.value)) < 1000
            with pytest.raises(error):
                kind.add_to_feeds(backend, ["bob"], [deed(1)])
            assert feed.count() == 0

    def test_aggregated_feed_refuses_ids_and_foreign_cursors(self, backend: Backend) -> None:
        """T5: ids cannot be grouped, and only cursors of aggregated feeds continue a walk."""
        feed = WideFeed("bob", backend)
        with pytest.raises(InvalidTypeError, match="takes activities"):
            feed.add(7)
        stored(feed, likes([0, 1, 2]))
        cursor = feed.page(1).next_cursor
        assert cursor is not None
        for wrong in ("", "altered", cursor[:-1], cursor + "A", feed.members(feed[0], 1).next_cursor or "x"):
            with pytest.raises(InvalidCursorError):
                feed.page(1, wrong)
        with pytest.raises(InvalidTypeError):
            feed.page(1, 5)  # type: ignore[arg-type]
        with pytest.raises(InvalidValueError):
            feed.members("00000000-0000-0000-0000-000000000000", 5)

    def test_aggregated_feed_classes_are_checked(self, backend: Backend) -> None:
        """T5: a class with an unusable attribute is refused."""
        for attributes in (
            {"aggregator": 5},
            {"aggregator": "{verb}-{unknown}"},
            {"aggregator": "constant"},
            {"aggregator": "{verb"},
            {"aggregator_class": NotificationAggregator},
            {"shown_per_group": 0},
            {"max_per_group": 0},
            {"serializer_class": MsgpackSerializer},
        ):
            with pytest.raises((InvalidTypeError, InvalidValueError)):
                type("Refused", (AggregatedFeed,), attributes)

    def test_an_inherited_aggregator_groups(self, backend: Backend) -> None:
        """T10: a class takes the aggregator of a mixin and of a parent."""
        mixin = type("Mixin", (), {"aggregator": lambda activity: str(activity.object)})
        kind: Any = type("Child", (type("Mixed", (mixin, AggregatedFeed), {}),), {})
        feed = kind("bob", backend)
        stored(feed, likes([0, 1, 0]))
        assert names(feed[:5]) == ["photo:0", "photo:1"]

    def test_a_ranking_that_fails_is_named(self, backend: Backend) -> None:
        """T5: the error of a ranking function says that it failed."""

        def ranking(group: EntryGroup) -> Any:
            raise KeyError(group.activity_count)

        kind = type("Ranked", (WideFeed,), {"aggregator": TemplateAggregator("{verb}", ranking=ranking)})
        feed = kind("bob", backend)
        stored(feed, likes([0]))
        with pytest.raises(InvalidValueError, match="ranking function failed: KeyError"):
            feed[:5]
