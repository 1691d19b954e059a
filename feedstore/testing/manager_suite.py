"""The contract of feed managers: each feed holds the activities of its follows and targets, once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any, ClassVar

import pytest

from feedstore.activity import Activity
from feedstore.errors import AtomicityError, BlockedError
from feedstore.fanout import Executor, FeedManager, HomeFeed, Job, Route, UserFeed
from feedstore.fanout.executors import RunsJobs
from feedstore.fanout.feed_classes import FeedClass, Target
from feedstore.feeds import AggregatedFeed, Feed, NotificationFeed
from feedstore.serializers import MsgpackSerializer
from feedstore.storage import Backend
from feedstore.testing.processes import run_in_threads
from feedstore.testing.suite import Suite

START = datetime(2026, 1, 1, tzinfo=timezone.utc)


class GroupedHomeFeed(AggregatedFeed):
    """A home feed in groups."""

    key_format = "{{{user_id}}}:grouped"
    aggregator = "{verb}-{object}"


class CopyFeed(Feed):
    """A home feed of copies."""

    key_format = "copies:{user_id}"
    serializer_class = MsgpackSerializer


class MentionFeed(NotificationFeed):
    """A feed that activities reach by ``to=`` alone."""

    key_format = "{{{user_id}}}:mentions"


class SocialManager(FeedManager):
    """A manager with feeds of several kinds, and pages of followers that a test fills."""

    feed_classes: ClassVar[Mapping[str, FeedClass]] = {"normal": HomeFeed, "grouped": GroupedHomeFeed}
    target_feed_classes: ClassVar[Mapping[str, FeedClass]] = {"mentions": MentionFeed}
    fanout_chunk_size = 2
    index_objects = True


class RepeatingExecutor(Executor):
    """Carries jobs as JSON, and runs each twice, as after a consumer that died before its acknowledgement."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    def submit(self, manager: RunsJobs, job: Job) -> None:
        """Run a job twice, and then all that it submits."""
        message = json.dumps(job.to_dict())
        self.sent.append(message)
        following: list[Job] = []
        for submit in (following.append, lambda job: None):
            manager.run_job(Job.from_dict(json.loads(message)), submit)
        for one in following:
            self.submit(manager, one)


def post(number: int, actor: str | int = "ann", **fields: Any) -> Activity:
    """Return an activity; a higher number is newer."""
    return Activity(
        actor, fields.pop("verb", "post"), f"photo:{number}", time=START + timedelta(minutes=number), **fields
    )


def home(manager: FeedManager, user: str) -> list[Activity]:
    """Return the activities of a user's home feeds, which must agree."""
    feeds = manager.get_feeds(user)
    shown: list[Activity] = feeds["normal"][:100]
    if "grouped" in feeds:
        groups = feeds["grouped"][:100]
        assert {one.id for group in groups for one in group.activities} == {one.id for one in shown}
    return shown


def followed_manager(backend: Backend) -> SocialManager:
    """Return a manager in which bob and four others follow ann."""
    manager = SocialManager(backend)
    manager._graph.import_follows([(f"user:{number}", "ann", START) for number in range(4)])
    manager._graph.follow("bob", "ann")
    return manager


class ManagerSuite(Suite):
    """Feed managers."""

    @pytest.fixture
    def manager(self, backend: Backend) -> SocialManager:
        """A manager in which five users follow ann, in three pages of followers."""
        return followed_manager(backend)

    def test_activities_reach_followers_and_leave_everywhere(self, backend: Backend) -> None:
        """Manager: every follower has an activity once; its removal leaves nothing; jobs may run twice."""
        manager = SocialManager(backend, executor=RepeatingExecutor())
        manager._graph.import_follows([(f"user:{number}", "ann", START) for number in range(5)])
        first, second = post(1), post(2)
        assert manager.add_user_activity("ann", first) is True
        manager.add_user_activity("ann", second, include_actor=True)
        manager.add_user_activity("ann", second, include_actor=True)
        for number in range(5):
            assert home(manager, f"user:{number}") == [second, first]
        assert (home(manager, "ann"), manager.get_user_feed("ann")[:9]) == ([second], [second, first])
        manager.remove_user_activity("ann", second)
        manager.remove_user_activity("ann", first.id)
        for user in ("user:0", "user:4", "ann"):
            assert [feed.count() for feed in manager.get_feeds(user).values()] == [0, 0]
        assert manager.get_user_feed("ann").count() == 0
        assert manager.activities.get_many([first, second]) == []

    def test_targets_and_their_followers(self, manager: SocialManager) -> None:
        """Manager: ``to=`` reaches the feeds that it names, and the followers of user feeds on request."""
        manager.follow_user("bob", "group:1")
        manager.follow_user("eve", "group:1")
        deed = post(1)
        targets: list[Target] = ["user:group:1", ("mentions", "cem")]
        manager.add_user_activity("ann", deed, to=targets)
        assert (home(manager, "bob"), home(manager, "eve")) == ([deed], [])
        manager.add_user_activity("ann", deed, to=targets, to_followers=True)
        assert (home(manager, "bob"), home(manager, "eve"), home(manager, "ann")) == ([deed], [deed], [])
        assert manager.get_user_feed("group:1")[:9] == [deed]
        assert [one.activities for one in manager.get_feed("mentions", "cem")[:9]] == [(deed,)]
        assert manager.origins("bob", [deed]) == {deed.id: "ann"}
        assert manager.origins("eve", [deed]) == {deed.id: "group:1"}
        assert manager.origins("ann", [deed]) == {deed.id: None}
        manager.remove_user_activity("ann", deed)
        assert (home(manager, "bob"), home(manager, "eve")) == ([], [])
        assert manager.get_user_feed("group:1").count() == manager.get_feed("mentions", "cem").count() == 0

    def test_targets_change(self, manager: SocialManager) -> None:
        """Manager: a removed target loses the activity, and so do its followers that no other way reaches."""
        for user in ("bob", "eve"):
            manager.follow_user(user, "group:1")
        deed = post(1)
        manager.add_user_activity("ann", deed, to=["user:group:1", "mentions:cem"], to_followers=True)
        found = manager.update_activity_to_targets(
            "ann", deed, added_targets=["mentions:dan"], removed_targets=["user:group:1", "mentions:cem"]
        )
        assert found == [Route("mentions", "dan", False)]
        assert (home(manager, "bob"), home(manager, "eve")) == ([deed], [])
        counts = [manager.get_feed("mentions", user).count() for user in ("cem", "dan")]
        assert (counts, manager.get_user_feed("group:1").count()) == ([0, 1], 0)
        found = manager.update_activity_to_targets("ann", deed, new_targets=["user:group:1"], to_followers=True)
        assert found == [Route("user", "group:1", True)]
        assert (home(manager, "eve"), manager.get_feed("mentions", "dan").count()) == ([deed], 0)

    def test_a_follow_copies_and_an_unfollow_removes_its_activities(self, manager: SocialManager) -> None:
        """Manager: copy_limit and keep_history; an activity of another followed thing stays."""
        deeds = [post(number) for number in range(5)]
        for deed in deeds[:4]:
            manager.add_user_activity("ann", deed)
        manager.add_user_activity("group:1", deeds[4])
        manager.add_user_activity("ann", deeds[4])
        assert manager.follow_user("eve", "ann", copy_limit=0) is True
        assert home(manager, "eve") == []
        assert manager.follow_user("eve", "ann", copy_limit=2) is False
        assert home(manager, "eve") == [deeds[4], deeds[3]]
        manager.follow_user("eve", "ann")
        assert home(manager, "eve") == deeds[::-1]
        manager.follow_user("eve", "group:1")
        assert manager.unfollow_user("eve", "ann") is True
        assert home(manager, "eve") == [deeds[4]]
        assert manager.unfollow_user("eve", "group:1") is True
        assert (home(manager, "eve"), manager.unfollow_user("eve", "group:1")) == ([], False)
        assert manager.unfollow_user("bob", "ann", keep_history=True) is True
        assert home(manager, "bob") == deeds[::-1]
        assert manager.follow_many_users("dan", ["ann", "group:1"], copy_limit=3) == 2
        assert home(manager, "dan") == deeds[:1:-1]
        assert manager.unfollow_many_users("dan", ["ann", "group:1", "cem"]) == 2
        assert home(manager, "dan") == []

    def test_a_unique_activity_exists_once(self, manager: SocialManager) -> None:
        """Manager: of several processes one adds a like, regardless of its time; retract removes it."""
        if not manager.backend.abilities.conditional_writes:
            with pytest.raises(AtomicityError, match="unique"):
                manager.add_user_activity("ann", post(1), unique=True)
            return
        likes = [Activity("ann", "like", "photo:7", time=START + timedelta(minutes=number)) for number in range(4)]
        adds = [partial(manager.add_user_activity, "ann", like, unique=True) for like in likes]
        assert sorted(run_in_threads(adds)) == [False, False, False, True]
        assert len(home(manager, "bob")) == manager.get_user_feed("ann").count() == 1
        assert manager.add_user_activity("ann", home(manager, "bob")[0], unique=True) is True
        assert manager.unique_among("ann", "like", ["photo:7", "photo:8"]) == {"photo:7"}
        assert manager.retract("ann", "like", "photo:7") is True
        assert manager.retract("ann", "like", "photo:7") is False
        assert manager.unique_among("ann", "like", ["photo:7", "photo:8"]) == set()
        assert (home(manager, "bob"), manager.activities.get_many(likes)) == ([], [])
        assert manager.add_user_activity("ann", likes[0], unique=True) is True
        manager.remove_user_activity("ann", likes[0])
        assert manager.add_user_activity("ann", likes[1], unique=True) is True
        assert home(manager, "bob") == [likes[1]]

    def test_an_object_is_removed_with_its_activities(self, manager: SocialManager) -> None:
        """Manager: activities with it as object or target are gone; others stay."""
        manager.follow_user("bob", "eve")
        deeds = [post(1), post(1, "eve", verb="like"), post(2, "eve", target="photo:1"), post(3)]
        for deed in deeds:
            manager.add_user_activity(str(deed.actor), deed)
        assert manager.remove_object("photo:1") == 3
        assert (home(manager, "bob"), manager.get_user_feed("eve").count()) == ([deeds[3]], 0)
        assert manager.remove_object("photo:1") == 0

    def test_a_block_removes_both_from_the_feeds_of_the_other(self, manager: SocialManager) -> None:
        """Manager: also activities of a third feed, and later ones."""
        for user in ("ann", "bob"):
            manager.follow_user(user, "group:1")
        manager.follow_user("ann", "bob")
        deeds = [post(1, "bob"), post(2, "bob"), post(3), post(4, "eve")]
        manager.add_user_activity("bob", deeds[0], to=["mentions:ann"])
        for deed in deeds[1:]:
            manager.add_user_activity("group:1", deed)
        manager.add_user_activity("ann", deeds[2])
        assert (home(manager, "ann"), home(manager, "bob")) == (deeds[::-1], deeds[:0:-1])
        assert manager.block_user("ann", "bob") is True
        assert (home(manager, "ann"), home(manager, "bob")) == ([deeds[3], deeds[2]], [deeds[3], deeds[1]])
        assert manager.get_feed("mentions", "ann").count() == 0
        later = post(5, "bob")
        manager.add_user_activity("bob", later, to=["mentions:ann", "user:group:1"], to_followers=True)
        assert (home(manager, "ann"), manager.get_feed("mentions", "ann").count()) == ([deeds[3], deeds[2]], 0)
        manager.follow_user("ann", "group:1")
        manager.follow_many_users("ann", ["group:1"])
        assert home(manager, "ann") == [deeds[3], deeds[2]]
        with pytest.raises(BlockedError):
            manager.follow_user("ann", "bob")
        assert manager.unblock_user("ann", "bob") is True

    def test_edits_reach_every_feed(self, backend: Backend) -> None:
        """Manager: feeds of ids, of groups and of copies show an edit; a feed without the activity does not get it."""
        manager = SocialManager(backend, feed_classes={"grouped": GroupedHomeFeed, "copies": CopyFeed})
        for user in ("bob", "cem", "dan"):
            manager.follow_user(user, "ann")
        deed = post(1, extra_context={"likes": {"count": 1}, "draft": True})
        manager.add_user_activity("ann", deed, to=["mentions:eve"])
        manager.follow_user("fay", "ann", copy_limit=0)
        edited = manager.activity_partial_update(deed, set={"likes.count": 2, "a.b": 0}, unset=["draft", "absent.x"])
        assert edited is not None
        assert edited.extra_context == {"likes": {"count": 2}, "a": {"b": 0}}
        moved = Activity("ann", "share", "photo:9", time=deed.time, id=deed.id)
        for wanted in (edited, moved):
            assert manager.update_user_activity(wanted) == 1
            for user in ("bob", "cem", "dan"):
                assert manager.get_feed("copies", user)[:9] == [wanted]
                assert [one.activities for one in manager.get_feed("grouped", user)[:9]] == [(wanted,)]
            assert manager.get_feed("grouped", "bob")[0].group == f"{wanted.verb}-{wanted.object}"
            assert manager.get_feed("mentions", "eve")[0].activities == (wanted,)
            assert manager.get_user_feed("ann")[:9] == [wanted]
        assert manager.get_feed("copies", "fay").count() == manager.get_feed("grouped", "fay").count() == 0
        assert manager.update_user_activities([post(7)]) == 0
        assert manager.activity_partial_update(post(7), set={"a": 1}) is None
        assert (manager.remove_object("photo:1"), manager.remove_object("photo:9")) == (0, 1)

    def test_activities_of_many_users_reach_their_followers(self, manager: SocialManager) -> None:
        """Manager: one call for many activities makes the feeds that a call for each makes; a repeated one too."""
        manager._graph.import_follows([(follower, "eve", START) for follower in ("bob", "ann", "cem")])
        deeds = [post(number, ("ann", "eve", "dan")[number % 3]) for number in range(9)]
        assert manager.add_user_activities(iter(deeds), chunk_size=5) == 9
        assert manager.add_user_activities(deeds) == 9
        newest = deeds[::-1]
        assert home(manager, "bob") == [one for one in newest if one.actor != "dan"]
        assert (
            home(manager, "user:2") == manager.get_user_feed("ann")[:9] == [one for one in newest if one.actor == "ann"]
        )
        assert home(manager, "ann") == home(manager, "cem") == [one for one in newest if one.actor == "eve"]
        assert manager.get_user_feed("dan")[:9] == [one for one in newest if one.actor == "dan"]
        assert manager.activities.get_many(deeds) == deeds
        assert manager.remove_object("photo:4") == 1
        assert home(manager, "cem") == [deeds[7], deeds[1]]
        assert manager.add_user_activities([]) == 0

    def test_an_import_reaches_the_same_feeds(self, manager: SocialManager) -> None:
        """Manager: chunks of activities, with or without the fan-out."""
        deeds = [post(number) for number in range(7)]
        assert manager.batch_import("ann", iter(deeds[:5]), chunk_size=2) == 5
        assert manager.batch_import("ann", deeds[5:], fanout=False) == 2
        assert manager.batch_import("ann", []) == 0
        assert manager.get_user_feed("ann")[:9] == deeds[::-1]
        assert home(manager, "bob") == home(manager, "user:3") == deeds[4::-1]
        assert {type(manager.get_user_feed("ann")), *map(type, manager.get_feeds("bob").values())} == {
            UserFeed,
            HomeFeed,
            GroupedHomeFeed,
        }
