"""The contract of policies: a feed shows each activity once, pushed or pulled."""

from __future__ import annotations

from collections import deque
from datetime import datetime, timedelta, timezone
from itertools import chain
from typing import Any, ClassVar

import pytest

from feedstore.activity import Activity
from feedstore.errors import AtomicityError
from feedstore.fanout import (
    AlwaysPush,
    DeliveryMode,
    DeliveryPolicy,
    Executor,
    FeedManager,
    HomeFeed,
    Job,
    MergedFeed,
    Producer,
)
from feedstore.fanout.executors import RunsJobs
from feedstore.feeds import AggregatedFeed
from feedstore.storage import Backend
from feedstore.testing.manager_suite import post
from feedstore.testing.suite import Suite
from feedstore.testing.walks import pages_of

DAY = timedelta(days=1)
READERS = ("bob", "cem", "dan", "eve", "fay")


class ShortHomeFeed(HomeFeed):
    """A home feed of a few entries."""

    max_length = 6


class GroupedFeed(AggregatedFeed):
    """A feed that cannot be merged."""

    key_format = "{{{user_id}}}:grouped"
    aggregator = "{verb}-{object}"


class PullManager(FeedManager):
    """A manager with a flat feed and an aggregated one, and pages of two followers."""

    feed_classes: ClassVar[Any] = {"normal": ShortHomeFeed, "grouped": GroupedFeed}
    fanout_chunk_size = 2


class Named(DeliveryPolicy):
    """The policy that pulls the named producers."""

    def __init__(self, *pulled: str, inactive_after: timedelta | None = None) -> None:
        super().__init__(inactive_after=inactive_after)
        self.pulled = set(pulled)

    def pulls(self, producer: Producer) -> bool:
        """Return whether the producer is named."""
        return producer.user_id in self.pulled


class HeldJobs(Executor):
    """Keeps jobs until a test runs them."""

    def __init__(self) -> None:
        self.jobs: deque[Job] = deque()

    def submit(self, manager: RunsJobs, job: Job) -> None:
        """Keep a job."""
        self.jobs.append(job)

    def run(self, manager: RunsJobs, place: int = 0) -> None:
        """Run one job."""
        self.jobs.rotate(-place)
        job = self.jobs.popleft()
        self.jobs.rotate(place)
        manager.run_job(job, self.jobs.append)

    def run_all(self, manager: RunsJobs) -> None:
        """Run all jobs, and those that they submit."""
        while self.jobs:
            self.run(manager)


def shown(manager: FeedManager, reader: str) -> list[Activity]:
    """Return all activities in the flat feed of a reader."""
    return list(chain.from_iterable(pages_of(lambda cursor: manager.get_feeds(reader)["normal"].page(3, cursor))))


class PushPullSuite(Suite):
    """Policies of managers."""

    @pytest.fixture
    def held(self, backend: Backend) -> HeldJobs:
        """An executor that keeps jobs, for managers with policies."""
        if not backend.abilities.conditional_writes:
            with pytest.raises(AtomicityError, match="which a policy needs"):
                FeedManager(backend, policy=AlwaysPush())
            pytest.skip("the backend has no conditional writes, so its managers have no policies")
        return HeldJobs()

    def managed(self, backend: Backend, held: HeldJobs, policy: DeliveryPolicy) -> PullManager:
        """Return a manager in which all readers follow star and ann."""
        manager = PullManager(backend, policy=policy, executor=held)
        manager._graph.import_follows([(reader, star) for reader in READERS for star in ("star", "ann")])
        return manager

    def test_a_producer_crosses_the_threshold_both_ways(self, backend: Backend, held: HeldJobs) -> None:
        """Manager: push, pull, settle and push again; each reader's feed always shows the newest activities once."""
        policy = Named()
        manager = self.managed(backend, held, policy)
        published: list[Activity] = []

        def publish(number: int, actor: str) -> None:
            published.insert(0, post(number, actor))
            manager.add_user_activity(actor, published[0])

        for number, actor in enumerate(("star", "ann", "star")):
            publish(number, actor)
        held.run(manager)
        policy.pulled.add("star")
        for number, actor in enumerate(("star", "star", "ann", "star"), 3):
            publish(number, actor)
        assert manager.delivery_mode("star") is DeliveryMode.PULL
        held.run_all(manager)
        for reader in READERS:
            feeds = manager.get_feeds(reader)
            assert isinstance(feeds["normal"], MergedFeed)
            assert len(feeds["grouped"][:]) == 7
            assert shown(manager, reader) == published
        assert ShortHomeFeed("bob", backend).count() == 4
        policy.pulled.clear()
        publish(7, "star")
        assert manager.delivery_mode("star") is DeliveryMode.SETTLE
        while held.jobs:
            assert shown(manager, "bob")[:6] == published[:6]
            held.run(manager)
        assert manager.delivery_mode("star") is DeliveryMode.PUSH
        for reader in READERS:
            assert not isinstance(manager.get_feeds(reader)["normal"], MergedFeed)
            assert shown(manager, reader)[:6] == published[:6]

    def test_inactive_readers_are_rebuilt_on_return(self, backend: Backend, held: HeldJobs) -> None:
        """Manager: deliveries leave out readers without a visit, and a visit brings everything back."""
        manager = self.managed(backend, held, AlwaysPush(inactive_after=30 * DAY))
        now = [datetime(2026, 6, 1, tzinfo=timezone.utc)]
        manager.push_pull.now = lambda: now[0]  # type: ignore[method-assign]
        assert manager.visit("bob") is True
        assert manager.visit("bob") is False
        posts = [post(number, ("star", "ann")[number % 2]) for number in range(4)]
        for one in posts:
            manager.add_user_activity(str(one.actor), one)
        held.run_all(manager)
        assert [ShortHomeFeed(reader, backend).count() for reader in READERS] == [4, 0, 0, 0, 0]
        assert shown(manager, "cem") == shown(manager, "bob") == posts[::-1]
        now[0] += 31 * DAY
        manager.follow_user("cem", "new")
        manager.unfollow_user("bob", "ann")
        late = post(9, "star")
        manager.add_user_activity("star", late)
        held.run_all(manager)
        assert [ShortHomeFeed(reader, backend).contains(late) for reader in READERS] == [False] * 5
        assert shown(manager, "bob") == [late, posts[2], posts[0]]
        assert [one.activities[0] for one in manager.get_feeds("cem")["grouped"][:]] == [late, *posts[::-1]]
        assert manager.visit("cem") is False
