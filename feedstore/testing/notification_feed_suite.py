"""The contract of notification feeds."""

from __future__ import annotations

import threading
from functools import partial

import pytest

from feedstore.errors import InvalidValueError
from feedstore.feeds import NotificationAggregator, NotificationCounts, NotificationFeed
from feedstore.storage import Backend
from feedstore.testing.aggregated_feed_suite import deed, likes, stored
from feedstore.testing.notification_oracle import run_notification_oracle
from feedstore.testing.processes import run_in_threads
from feedstore.testing.suite import Suite

STEPS = 40


class PhotoNotifications(NotificationFeed):
    """A feed of one group for each verb and object."""

    key_format = "photos:{{{user_id}}}"
    aggregator = NotificationAggregator(window=None)
    publishes = False


class SeparateNotifications(PhotoNotifications):
    """A feed in which a mark as read is none as seen."""

    read_implies_seen = False


class UnreadNotifications(PhotoNotifications):
    """A feed that tracks unread activities only."""

    track_unseen = False


class SmallNotifications(PhotoNotifications):
    """A feed that keeps few entries."""

    key_format = "small:{{{user_id}}}"
    max_length = 1


class LiveNotifications(PhotoNotifications):
    """A feed whose writes and marks are published."""

    publishes = True


class NotificationFeedSuite(Suite):
    """:class:`~feedstore.feeds.NotificationFeed`: marks and counts."""

    def test_notification_marks(self, backend: Backend) -> None:
        """T21: marks of activities, groups, everything up to an activity and all change only those activities."""
        feed = PhotoNotifications("bob", backend)
        given = stored(feed, likes([0, 0, 1, 1, 2, 3]))
        assert feed.counts() == NotificationCounts(6, 6, 4, 4)
        feed.mark_activities([given[5], given[4].id], read=True)
        assert (feed.unseen_count(), feed.unread_count()) == (4, 4)
        feed.mark_activity(given[0])
        assert (feed.unseen_ids(), feed.unread_ids()) == ({one.id for one in given[1:4]}, {one.id for one in given[:4]})
        assert [(one.is_seen, one.is_read) for one in feed[:]] == [(True, True)] * 2 + [(False, False)] * 2
        feed.mark_group(feed[2])
        assert [(one.is_seen, one.is_read) for one in feed.page(4)] == [(True, True)] * 2 + [
            (True, False),
            (False, False),
        ]
        feed.mark_until(given[2], read=True)
        assert (feed.unseen_ids(), feed.unread_ids()) == (set(), {given[3].id})
        stored(feed, given)
        assert feed.counts() == NotificationCounts(0, 1, 0, 1)
        feed.mark_all(read=True)
        assert feed.counts() == NotificationCounts(0, 0, 0, 0)

    def test_a_new_activity_makes_its_group_unseen(self, backend: Backend) -> None:
        """T21: the members that were seen stay seen, and an activity that the user was not shown stays unseen."""
        feed = PhotoNotifications("bob", backend)
        stored(feed, likes([0, 1]))
        page = feed.page(5)
        (new,) = stored(feed, [deed(9)])
        feed.mark_groups(page.items, read=True)
        assert feed.unseen_ids() == {new.id}
        assert [(one.is_seen, one.activity_count) for one in feed[:]] == [(False, 2), (True, 1)]
        feed.mark_groups([one.id for one in feed[:]])
        assert (feed.unseen_count(), feed.unread_ids()) == (0, {new.id})

    def test_a_group_is_seen_after_its_newest_activity_is_gone(self, backend: Backend) -> None:
        """T21: a mark of a group covers an entry whose activity was removed from the activity storage."""
        feed = PhotoNotifications("bob", backend)
        given = stored(feed, likes([0, 0, 0]))
        feed.remove_activity(given[2])
        feed.mark_groups(feed.page(5).items)
        assert (feed.unseen_count(), feed[0].is_seen, feed[0].is_read) == (0, True, False)
        feed.mark_until(feed[0], read=True)
        assert feed.unread_count() == 0

    def test_notification_removals_take_marks_with_them(self, backend: Backend) -> None:
        """T21: a removal, a trim and a deletion leave no mark of an entry that is gone."""
        feed = PhotoNotifications("bob", backend)
        given = stored(feed, likes([0, 0, 1, 2, 3]))
        feed.remove_many([given[0], given[4]])
        assert feed.counts() == NotificationCounts(3, 3, 3, 3)
        feed.mark_activity(given[3])
        feed.trim(2)
        assert (feed.unseen_ids(), feed.unread_ids()) == ({given[2].id}, {given[2].id, given[3].id})
        PhotoNotifications.remove_from_feeds(backend, ["bob"], [given[2]])
        assert feed.counts() == NotificationCounts(0, 1, 0, 1)
        feed.delete()
        assert (feed.counts(), feed.count()) == (NotificationCounts(0, 0, 0, 0), 0)

    def test_notification_options_and_reset(self, backend: Backend) -> None:
        """T21: read need not imply seen, marks may be left untracked, and an import sets them."""
        separate, unread = SeparateNotifications("bob", backend), UnreadNotifications("ann", backend)
        given = stored(separate, likes([0, 1, 2]))
        separate.mark_activity(given[0], seen=False, read=True)
        assert separate.counts() == NotificationCounts(3, 2, 3, 2)
        separate.reset(unseen=[given[1]], unread=[given[1], given[2].id, 5])
        assert (separate.unseen_ids(), separate.unread_ids()) == ({given[1].id}, {given[1].id, given[2].id})
        stored(unread, given)
        unread.mark_activity(given[0], read=True)
        assert (unread.counts(), unread[2].is_seen, unread[2].is_read) == (NotificationCounts(0, 2, 0, 2), None, True)
        with pytest.raises(InvalidValueError, match="does not track unseen"):
            unread.unseen_count()
        small = SmallNotifications("eve", backend)
        small.add_many(given, trim=False)
        small.reset(unseen=given)
        assert small.counts() == NotificationCounts(3, 0, 3, 0)
        unread.reset()
        assert unread.unread_count() == 0

    def test_notification_marks_are_published(self, backend: Backend) -> None:
        """N1: a subscriber of a feed is notified of a mark, so that the badges of other pages change."""
        feed, changed = LiveNotifications("bob", backend), threading.Event()
        stored(feed, likes([0, 1]))

        def note(keys: frozenset[str]) -> None:
            if not feed.unseen_count():
                changed.set()

        with feed.subscribe(note, recheck_seconds=None):
            LiveNotifications("bob", backend).mark_all()
            assert changed.wait(30)

    def test_notification_marks_meet_adds(self, backend: Backend) -> None:
        """Decision 7: with threads that add, repeat and mark, the counts are right in the end."""
        feed = PhotoNotifications("bob", backend)
        given = likes([number % 3 for number in range(40)])
        stored(feed, given[:20])

        def add(worker: int) -> None:
            for activity in given[20 + worker :: 2]:
                feed.add_many([activity, given[worker]])

        def mark(worker: int) -> None:
            for activity in given[worker:20:2]:
                feed.mark_activity(activity, read=bool(worker))

        run_in_threads([partial(work, worker) for work in (add, mark) for worker in range(2)])
        new = {one.id for one in given[20:]}
        assert (feed.unseen_ids(), feed.unread_ids()) == (new, new | {one.id for one in given[:20:2]})

    def test_notification_removals_meet_adds(self, backend: Backend) -> None:
        """T21: with threads that add and remove the same activities, no mark of an absent entry stays.

        Relaxed by ``atomic_deliveries``: without it, such a mark may stay until the next trim.
        """
        feed = PhotoNotifications("bob", backend)
        given = likes([number % 3 for number in range(16)])

        def add() -> None:
            for activity in given:
                feed.add(activity)

        def remove() -> None:
            for activity in given:
                feed.remove(activity)

        run_in_threads([add, remove, remove])
        if not backend.abilities.atomic_deliveries:
            feed.trim()
        kept = feed.contains_many(given)
        assert feed.unseen_ids() | feed.unread_ids() <= kept
        if backend.abilities.atomic_deliveries:
            assert feed.unseen_ids() == feed.unread_ids() == kept

    def test_notification_counts_never_drift(self, backend: Backend) -> None:
        """T21: random deliveries, repetitions, marks, removals and trims leave the marks of a model."""
        run_notification_oracle(backend, seed=1, steps=STEPS)


class NotificationFeedArgumentSuite(Suite):
    """The marks and attributes that a notification feed refuses."""

    def test_notification_feed_refuses_empty_marks(self, backend: Backend) -> None:
        """T5: a mark that marks nothing, and a class that tracks nothing, are refused."""
        feed = PhotoNotifications("bob", backend)
        for mark in (partial(feed.mark_all, False), partial(feed.mark_activity, 5, False, False)):
            with pytest.raises(InvalidValueError, match="seen=True, read=True or both"):
                mark()
        with pytest.raises(InvalidValueError, match="not one of the feed"):
            feed.mark_group(PhotoNotifications("ann", backend).group_id("like-photo:0"))
        with pytest.raises(InvalidValueError, match="does not track unseen"):
            UnreadNotifications("ann", backend).mark_all()
        for bases in ((NotificationFeed,), (type("Mixin", (), {"companions": (":unseen",)}), NotificationFeed)):
            with pytest.raises(InvalidValueError, match="must not set companions"):
                type("Refused", bases, {"companions": (":unseen",)} if len(bases) == 1 else {})
        with pytest.raises(InvalidValueError, match="tracks neither"):
            type("Refused", (NotificationFeed,), {"track_unseen": False, "track_unread": False})
