"""Pushed and pulled producers: random histories against a model, concurrent changes and dead processes."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from enum import Enum
from typing import Any

import pytest

import soak
from feedstore import Activity, connect
from feedstore.errors import InvalidTypeError, InvalidValueError
from feedstore.fanout import (
    AlwaysPush,
    DeliveryMode,
    FeedManager,
    Job,
    JobOperation,
    Producer,
    UserFeed,
)
from feedstore.fanout.producer_modes import ProducerModes
from feedstore.fanout.reader_visits import ReaderVisits
from feedstore.storage import Backend
from feedstore.testing import OpenBackend
from feedstore.testing.manager_suite import post
from feedstore.testing.push_pull_suite import DAY, HeldJobs, Named, PullManager, ShortHomeFeed, shown

ACTORS, READERS = ("ann", "star", "group"), ("bob", "cem", "dan")
NOW = datetime(2026, 6, 1, tzinfo=timezone.utc)


@pytest.fixture
def backend() -> Iterator[Backend]:
    with connect("memory://") as backend:
        yield backend


class Died(Exception):
    """The end of a process."""


class History:
    """Random calls of a manager, and the posts that each reader must see."""

    def __init__(self, backend: Backend, seed: int) -> None:
        self.choose = random.Random(seed)
        self.policy = Named(inactive_after=30 * DAY)
        self.held = HeldJobs()
        self.manager = PullManager(backend, policy=self.policy, executor=self.held)
        self.now = NOW
        self.manager.push_pull.now = lambda: self.now  # type: ignore[method-assign]
        self.posts: dict[str, list[Activity]] = {actor: [] for actor in ACTORS}
        self.numbers = list(range(500))
        self.follows = {reader: set(ACTORS[:2]) for reader in READERS}
        for reader, followed in self.follows.items():
            for actor in followed:
                self.manager.follow_user(reader, actor)

    def publish(self) -> None:
        """Publish an activity; one of three is older than others."""
        actor = self.choose.choice(ACTORS)
        one = post(self.numbers.pop(self.choose.choice([0, 0, 5])), actor)
        self.posts[actor].append(one)
        self.manager.add_user_activity(actor, one)

    def change_policy(self) -> None:
        """Let the policy change its mind about a producer."""
        self.policy.pulled ^= {self.choose.choice(ACTORS)}

    def run_job(self) -> None:
        """Run any of the waiting jobs; some processes die after it, so that it runs again."""
        if self.held.jobs:
            place = self.choose.randrange(len(self.held.jobs))
            if self.choose.random() < 0.3:
                self.manager.run_job(self.held.jobs[place], lambda job: None)
            self.held.run(self.manager, place)

    def change_follow(self) -> None:
        """Follow or unfollow. A delivery during the call may arrive after it, so no job waits."""
        self.held.run_all(self.manager)
        reader, actor = self.choose.choice(READERS), self.choose.choice(ACTORS)
        change = self.manager.unfollow_user if actor in self.follows[reader] else self.manager.follow_user
        change(reader, actor)
        self.follows[reader] ^= {actor}

    def pass_time(self) -> None:
        """Let some readers become inactive."""
        self.now += self.choose.choice([1, 20]) * DAY

    def visit(self) -> None:
        """Read a feed. Some visits publish during the rebuild, and some die in it."""
        reader, newest_of = self.choose.choice(READERS), self.manager._newest_of
        accident = self.choose.choice(["none", "publish", "die"])

        def disturbed(*arguments: Any, **options: Any) -> list[Any]:
            found = newest_of(*arguments, **options)
            if accident == "die":
                raise Died
            if accident == "publish":
                self.publish()
                self.run_job()
            return found

        self.manager._newest_of = disturbed  # type: ignore[method-assign]
        try:
            self.manager.visit(reader)
        except Died:
            pass
        finally:
            self.manager._newest_of = newest_of  # type: ignore[method-assign]
        found = shown(self.manager, reader)
        assert found == sorted(set(found), key=lambda one: one.serialization_id, reverse=True)

    def check(self) -> None:
        """Compare the feeds of all readers with the posts of the producers that they follow, down to the floor.

        An unfollow removes entries, and brings none back that were trimmed before.
        """
        self.held.run_all(self.manager)
        for reader, followed in self.follows.items():
            posts = [one for actor in followed for one in self.posts[actor]]
            posts.sort(key=lambda one: one.serialization_id, reverse=True)
            found = shown(self.manager, reader)
            floor = self.manager.get_feeds(reader)["normal"].page(1).floor or 0
            known = [one for one in posts if one.serialization_id >= floor]
            assert found[: len(known)] == known, reader
            assert set(found) <= set(posts), reader


@pytest.mark.soak
@pytest.mark.parametrize(("backend_kind", "quick"), [("memory", 12), ("sqlite", 1), ("redis", 1)])
def test_random_histories_lose_and_double_nothing(open_backend: OpenBackend, quick: int) -> None:
    for seed in range(soak.count(quick, 50 * quick)):
        history = History(open_backend(), seed)
        steps: list[Callable[[], None]] = [
            *[history.publish] * 5,
            *[history.run_job] * 5,
            *[history.visit] * 3,
            *(history.change_policy, history.change_follow, history.pass_time),
        ]
        done = []
        try:
            for number in range(60):
                step = history.choose.choice(steps)
                done.append(step.__name__)
                step()
                if number % 20 == 19:
                    history.check()
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {done}") from error


def test_a_mode_that_changes_during_a_decision_is_decided_again(backend: Backend) -> None:
    modes, seen = ProducerModes(backend, "modes"), []

    def decide(mode: DeliveryMode) -> DeliveryMode:
        seen.append(mode)
        if len(seen) == 1:
            modes.update("star", lambda mode: DeliveryMode.PULL)
        return DeliveryMode.SETTLE if mode is DeliveryMode.PULL else DeliveryMode.PULL

    state, has_changed = modes.update("star", decide)
    assert (seen, state.mode, has_changed) == ([DeliveryMode.PUSH, DeliveryMode.PULL], DeliveryMode.SETTLE, True)
    assert modes.pulled() == ["star"]


def test_an_old_settlement_does_not_end_a_new_one(backend: Backend) -> None:
    modes = ProducerModes(backend, "modes")
    other = {DeliveryMode.PUSH: DeliveryMode.PULL, DeliveryMode.PULL: DeliveryMode.SETTLE}
    other[DeliveryMode.SETTLE] = DeliveryMode.PULL
    changes = [modes.update("star", lambda mode: other[mode])[0].change for _ in range(4)]
    modes.finish("star", changes[1])
    modes.finish("never", changes[1])
    assert (modes.state("star").mode, modes.pulled()) == (DeliveryMode.SETTLE, ["star"])
    for _ in range(2):
        modes.finish("star", changes[3])
        assert (modes.state("star").mode, modes.pulled()) == (DeliveryMode.PUSH, [])


class RepeatedJobs(HeldJobs):
    may_repeat = True


def test_a_lost_settlement_is_submitted_again(backend: Backend) -> None:
    policy, held = Named("star"), RepeatedJobs()
    manager = PullManager(backend, policy=policy, executor=held)
    for reader in (*READERS, "eve", "fay"):
        manager._graph.follow(reader, "star")
    assert manager.settle_producer("star") is False
    for number in range(2):
        manager.add_user_activity("star", post(number, "star"))
        policy.pulled.clear()
    held.run(manager, [job.operation for job in held.jobs].index(JobOperation.SETTLE))
    held.jobs.clear()
    manager.add_user_activity("star", post(2, "star"))
    held.run_all(manager)
    assert manager.delivery_mode("star") is DeliveryMode.SETTLE
    assert manager.settle_producer("star") is True
    held.run_all(manager)
    assert (manager.delivery_mode("star"), manager.settle_producer("star")) == (DeliveryMode.PUSH, False)
    assert [ShortHomeFeed(reader, backend).count() for reader in READERS] == [3, 3, 3]
    with pytest.raises(InvalidValueError, match="has no policy"):
        PullManager(backend).run_job(Job(operation=JobOperation.SETTLE, manager="fanout", targets=("star",)), print)


def test_a_settlement_honours_blocks(backend: Backend) -> None:
    policy = Named("group")
    manager = PullManager(backend, policy=policy)
    for reader in READERS:
        manager._graph.follow(reader, "group")
    manager._graph.block("bob", "eve")
    manager.add_user_activity("group", post(1, "eve"))
    policy.pulled.clear()
    manager.add_user_activity("group", post(2, "cem"))
    assert manager.delivery_mode("group") is DeliveryMode.PUSH
    assert [ShortHomeFeed(reader, backend).count() for reader in READERS] == [1, 2, 2]


def test_feeds_without_a_length_are_always_pulled(backend: Backend) -> None:
    policy = Named("star", inactive_after=DAY)
    manager = FeedManager(backend, feed_classes={"normal": LongHomeFeed}, policy=policy)
    manager.follow_user("bob", "star")
    posts = [post(number, "star") for number in range(4)]
    for one in posts[:2]:
        manager.add_user_activity("star", one)
    policy.pulled.clear()
    for one in posts[2:]:
        manager.add_user_activity("star", one)
    assert (manager.delivery_mode("star"), manager.settle_producer("star")) == (DeliveryMode.SETTLE, False)
    assert LongHomeFeed("bob", backend).count() == 2
    assert shown(manager, "bob") == posts[::-1]


class LongHomeFeed(UserFeed):
    key_format = "long:{user_id}"


def test_followers_of_the_application_are_pushed_pulled_and_settled(backend: Backend) -> None:
    class Own(PullManager):
        def following_among(self, user_id: Any, names: Any) -> set[str]:
            return {str(one) for one in names if one == "star"}

    policy = Named()
    manager = Own(backend, graph=lambda user: READERS, policy=policy)
    posts = [post(number, "star") for number in range(4)]
    for number, one in enumerate(posts):
        policy.pulled = {"star"} if number in (1, 2) else set()
        manager.add_user_activity("star", one)
        assert shown(manager, "bob") == posts[: number + 1][::-1]
    assert manager.delivery_mode("star") is DeliveryMode.PUSH
    assert manager.count_followers("star") == 3
    assert ShortHomeFeed("dan", backend).count() == 4
    with pytest.raises(InvalidValueError, match="inactive_after needs graph"):
        Own(backend, graph=lambda user: READERS, policy=AlwaysPush(inactive_after=DAY))


def test_the_actor_receives_its_own_posts_while_it_is_pulled(backend: Backend) -> None:
    manager = PullManager(backend, policy=Named("star", inactive_after=DAY), include_actor=True)
    one = post(1, "star")
    manager.add_user_activity("star", one)
    assert ShortHomeFeed("star", backend)[:] == shown(manager, "star") == [one]


def test_a_rebuild_honours_blocks_and_follows_that_end_during_it(backend: Backend) -> None:
    manager = PullManager(backend, policy=AlwaysPush(inactive_after=DAY), executor=HeldJobs())
    for target in ("group", "ann"):
        manager._graph.follow("bob", target)
    manager._graph.block("bob", "eve")
    posts = [post(1, "ann"), post(2, "eve"), post(3, "cem")]
    manager.add_user_activity("ann", posts[0])
    for one in posts[1:]:
        manager.add_user_activity("group", one)
    newest_of = manager._newest_of

    def unfollowing(*arguments: Any, **options: Any) -> list[Any]:
        found = newest_of(*arguments, **options)
        manager._graph.unfollow("bob", "ann")
        return found

    manager._newest_of = unfollowing  # type: ignore[method-assign]
    assert manager.visit("bob") is True
    assert shown(manager, "bob") == [posts[2]]


def test_an_error_of_a_policy_leaves_the_call_repeatable(backend: Backend) -> None:
    class FailsOnce(Named):
        errors = 1

        def pulls(self, producer: Producer) -> bool:
            self.errors -= 1
            if self.errors == 0:
                raise ZeroDivisionError
            return super().pulls(producer)

    manager = PullManager(backend, policy=FailsOnce())
    manager.follow_user("bob", "ann")
    with pytest.raises(ZeroDivisionError):
        manager.add_user_activity("ann", post(1, "ann"))
    assert shown(manager, "bob") == []
    manager.add_user_activity("ann", post(1, "ann"))
    assert shown(manager, "bob") == [post(1, "ann")]


def test_the_round_trips_of_the_feeds_of_a_reader(backend: Backend, caplog: pytest.LogCaptureFixture) -> None:
    def calls(manager: FeedManager) -> int:
        caplog.clear()
        manager.get_feeds("bob")
        return len(caplog.messages)

    with caplog.at_level(logging.DEBUG, "feedstore.calls"):
        policy = Named()
        pulling = PullManager(backend, policy=policy)
        pulling.follow_user("bob", "star")
        assert (calls(PullManager(backend)), calls(pulling)) == (0, 1)
        policy.pulled.add("star")
        pulling.add_user_activity("star", post(1, "star"))
        assert calls(pulling) == 2
        visited = PullManager(backend, name="visited", policy=Named(inactive_after=DAY))
        visited.visit("bob")
        assert calls(visited) == 2
        later = visited.push_pull.now() + timedelta(hours=2)
        visited.push_pull.now = lambda: later  # type: ignore[method-assign]
        assert [calls(visited) for _ in range(2)] == [3, 2]


class Names(str, Enum):  # noqa: UP042 - str of a member is not its value
    """Ids of users, whose ``str()`` is not their value."""

    BOB = "bob"
    STAR = "star"


def test_ids_are_checked_and_give_their_plain_str(backend: Backend) -> None:
    manager = PullManager(backend, policy=Named("star", inactive_after=DAY))
    manager.follow_user(Names.BOB, "ann")
    assert manager.visit(Names.BOB) is True
    manager.add_user_activity("ann", post(1, "ann"))
    assert ShortHomeFeed("bob", backend).count() == 1
    manager.add_user_activity("star", post(2, "star"))
    assert manager.delivery_mode(Names.STAR) is DeliveryMode.PULL
    wrong: Any = None
    for call in (manager.visit, manager.get_feeds, manager.delivery_mode):
        with pytest.raises(InvalidTypeError, match="user_id"):
            call(wrong)
    assert manager.push_pull.visits is not None
    assert list(manager.push_pull.visits._rows.keys()) == ["bob"]


def test_visits_are_recorded_once_an_hour(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    visits = ReaderVisits(backend, "visits", 30 * DAY)
    first = visits.visit("bob", NOW)
    assert first is not None
    visits.end_rebuild("bob", first)
    written = []
    replace = visits._rows.replace

    def counted(*arguments: Any) -> Any:
        written.append(arguments)
        return replace(*arguments)

    monkeypatch.setattr(visits._rows, "replace", counted)
    for minutes in (1, 59, 61, 90, 122):
        assert visits.visit("bob", NOW + timedelta(minutes=minutes)) is None
    assert len(written) == 2
    assert visits._rows.get("bob") == {"at": NOW + timedelta(minutes=122)}
    late = NOW + timedelta(minutes=122) + 30 * DAY
    assert visits.active_among(["bob", "eve"], late - timedelta(minutes=1)) == ["bob"]
    assert visits.active_among(["bob", "eve"], late) == []
    # The margin: a reader who is still delivered to is rebuilt.
    assert visits.visit("bob", late - timedelta(minutes=30)) is not None


def test_a_visit_completes_the_rebuild_of_one_that_died(backend: Backend) -> None:
    visits = ReaderVisits(backend, "visits", 30 * DAY)
    first = visits.visit("bob", NOW)
    second = visits.visit("bob", NOW)
    assert first is not None
    assert second is not None
    visits.end_rebuild("bob", first)
    assert visits.visit("bob", NOW) is not None
