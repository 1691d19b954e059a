"""Replays of real activities and follows through a manager, whose feeds must be those of a model."""

from __future__ import annotations

from datetime import timedelta
from itertools import islice

import pytest

import soak
from fanout.replay import Event, Follow, Model, read_events, replay
from feedstore.fanout import FeedManager, HomeFeed
from feedstore.feeds import BaseFeed
from feedstore.storage import Backend
from ingest.real import ACTIVITIES, FOLLOWS

LENGTH = soak.count(20, 800)
# The part has few activities, which follow on the graph of the follows before them.
FIRST, LAST = soak.count(30_000, 0), soak.count(31_000, 1_000_000)
LASTS = timedelta(hours=soak.count(2, 24 * 365))


class ReplayHome(HomeFeed):
    """A home feed that is trimmed in the part, too."""

    max_length = LENGTH


@pytest.fixture(scope="module")
def events() -> list[Event]:
    """The events of the shipped data."""
    return read_events(ACTIVITIES, FOLLOWS, LASTS, FIRST, LAST)


@pytest.mark.soak
@pytest.mark.parametrize("backend_kind", ["memory", "sqlite", "redis"], indirect=True)
def test_feeds_are_those_of_the_model(backend: Backend, events: list[Event]) -> None:
    model = Model(LENGTH)
    manager = FeedManager(backend, feed_classes={"normal": ReplayHome})
    assert manager.graph is not None
    start = 0
    while isinstance(event := events[start], Follow):
        model.set_follow(event)
        start += 1
    pairs = [(follower, one) for follower, followed in model.followed.items() for one in sorted(followed)]
    manager.graph.import_follows(pairs)
    for event in events[start:]:
        model.apply(event)
    assert model.trimmed > 100
    assert model.removed > 20
    replay(events[start:], manager)
    compare(manager, model)


def compare(manager: FeedManager, model: Model) -> None:
    """Compare all feeds entry by entry."""
    for feed_class, expected in ((ReplayHome, model.homes), (manager.user_feed_class, model.own)):
        users = {key_of(feed_class, user, manager): user for user in expected}
        timelines = manager.get_user_feed("x").timelines
        rest = iter(users)
        while keys := list(islice(rest, 100)):
            for key, entries in timelines.get_many_slices(keys, 0, None).items():
                assert [one.serialization_id for one in entries] == expected[users[key]][::-1], key
        kind = feed_class.key_format.partition("{")[0]
        stored = {key for key in list(timelines.keys()) if key.startswith(kind)}
        assert stored == {key for key, user in users.items() if expected[user]}


def key_of(feed_class: type[BaseFeed[object]], user: str, manager: FeedManager) -> str:
    """Return the key of a user's feed."""
    return feed_class(user, manager.backend).key
