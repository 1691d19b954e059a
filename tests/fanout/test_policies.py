"""Policies: thresholds, and the arguments that they refuse."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from feedstore import connect
from feedstore.errors import InvalidTypeError, InvalidValueError
from feedstore.fanout import (
    AlwaysPush,
    DeliveryMode,
    FeedManager,
    FollowGraph,
    MergedFeed,
    Producer,
    PullByDeliveries,
    PullByFollowers,
)
from feedstore.storage import Backend
from feedstore.testing.manager_suite import post
from feedstore.testing.push_pull_suite import PullManager, shown

READERS = ("bob", "cem", "dan")
WRONG: Any = "push"


@pytest.fixture
def backend() -> Iterator[Backend]:
    with connect("memory://") as backend:
        yield backend


def test_thresholds_keep_the_present_state_between_them() -> None:
    def pulls(policy: PullByFollowers, is_pulled: bool, followers: int, daily: int = 10) -> bool:
        return policy.pulls(Producer("ann", is_pulled, lambda: followers, lambda: daily))

    by_followers, by_deliveries = PullByFollowers(100, 50), PullByDeliveries(1_000)
    assert [pulls(by_followers, False, number) for number in (50, 99, 100)] == [False, False, True]
    assert [pulls(by_followers, True, number) for number in (49, 50, 100)] == [False, True, True]
    assert [pulls(PullByFollowers(1), True, number) for number in (0, 1)] == [False, True]
    assert [pulls(by_deliveries, False, number) for number in (80, 99, 100)] == [False, False, True]
    assert [pulls(by_deliveries, True, number) for number in (79, 80, 100)] == [False, True, True]
    assert pulls(by_deliveries, False, 1_000_000, daily=0) is False


def test_producers_are_pulled_by_their_followers_and_rate(backend: Backend) -> None:
    graph = FollowGraph(backend)
    manager = PullManager(backend, graph=graph, policy=PullByDeliveries(6, 5))
    manager.push_pull.now = lambda: post(10).time  # type: ignore[method-assign]
    for reader in READERS:
        manager.follow_user(reader, "star")
    expected = [DeliveryMode.PUSH, DeliveryMode.PULL, DeliveryMode.PULL]
    for number, mode in enumerate(expected):
        manager.add_user_activity("star", post(number, "star"))
        assert manager.delivery_mode("star") is mode
    assert isinstance(manager.get_feeds("bob")["normal"], MergedFeed)
    assert [one.serialization_id for one in shown(manager, "bob")] == [post(n, "star").id for n in (2, 1, 0)]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PullByFollowers(0), "pull_from"),
        (lambda: PullByFollowers(10, 11), "push_below must be at most pull_from"),
        (lambda: PullByFollowers(10, -1), "push_below"),
        (lambda: AlwaysPush(inactive_after=timedelta(seconds=1)), "at least a minute"),
        (lambda: AlwaysPush(inactive_after=WRONG), "must be a timedelta or None"),
        (lambda: FeedManager(connect("memory://"), policy=WRONG), "policy must be a DeliveryPolicy"),
    ],
)
def test_policies_refuse_wrong_arguments(make: Callable[[], Any], message: str) -> None:
    with pytest.raises((InvalidTypeError, InvalidValueError), match=message):
        make()
