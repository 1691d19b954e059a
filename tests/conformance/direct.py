"""Runs of a suite's methods without pytest, up to the first failure."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import pytest

from feedstore.fanout import FollowGraph
from feedstore.serializers import MsgpackSerializer
from feedstore.storage import Backend
from feedstore.testing import Suite
from feedstore.testing.delivery_suite import GroupSerializer
from feedstore.testing.feed_suite import HomeFeed, deeds
from feedstore.testing.manager_suite import followed_manager
from feedstore.testing.merged_feed_suite import merged_feed, stored_posts
from feedstore.testing.push_pull_suite import HeldJobs
from stores import fresh_namespace

Case = tuple[str, Callable[..., Any], dict[str, Any]]


def first_failure(suite: type[Suite], make_backend: Callable[[], Backend]) -> str | None:
    """Return the name of the first test of ``suite`` that fails, or None. Each test has a store of its own."""
    for name, method, parameters in cases(suite):
        first = make_backend()
        wanted = fixtures(method, first)
        missing = inspect.signature(method).parameters.keys() - {"self", *parameters, *wanted}
        assert not missing, f"no maker of the fixtures {missing}, which {name} asks for"
        try:
            method(suite(), **parameters, **wanted)
        except pytest.skip.Exception:
            continue
        # Any exception is a failure; `pytest.raises` has an exception class of its own.
        except (Exception, pytest.fail.Exception):  # noqa: BLE001
            return name
        finally:
            if not first.closed:
                first.close()
    return None


def cases(suite: type[Suite]) -> Iterator[Case]:
    """Yield each test of a suite once for each set of its parameters."""
    for name in dir(suite):
        if name.startswith("test_"):
            method = getattr(suite, name)
            for parameters in product(*map(parameter_sets, parametrizations(method))):
                yield name, method, {key: value for part in parameters for key, value in part.items()}


def parametrizations(method: Callable[..., Any]) -> list[pytest.Mark]:
    """Return the marks that parametrize a test."""
    return [mark for mark in getattr(method, "pytestmark", []) if mark.name == "parametrize"]


def parameter_sets(mark: pytest.Mark) -> list[dict[str, Any]]:
    """Return the parameters that one mark gives, by name."""
    names, values = mark.args[:2]
    if isinstance(names, str):
        return [{names: value} for value in values]
    return [dict(zip(names, value, strict=True)) for value in values]


def fixtures(method: Callable[..., Any], first: Backend) -> dict[str, Any]:
    """Return the fixtures of :class:`Suite` that the test uses."""
    backend = first.with_namespace(fresh_namespace())
    makers: dict[str, Callable[[], Any]] = {
        "open_backend": lambda: lambda namespace=None: first.with_namespace(namespace or fresh_namespace()),
        "backend": lambda: backend,
        "activities": backend.activity_storage,
        "timelines": backend.timeline_storage,
        "groups": lambda: backend.timeline_storage(serializer_class=GroupSerializer),
        "payloads": lambda: backend.timeline_storage(serializer_class=MsgpackSerializer),
        "kv": backend.kv_storage,
        "queue": backend.queue,
        "notifier": backend.notifier,
        "home": lambda: filled_feed(backend),
        "manager": lambda: followed_manager(backend),
        "posts": lambda: stored_posts(backend),
        "merged": lambda: merged_feed(backend),
        "held": HeldJobs,
        "graph": lambda: FollowGraph(backend, kinds=("follow", "watch")),
    }
    wanted = inspect.signature(method).parameters
    return {name: make() for name, make in makers.items() if name in wanted}


def filled_feed(backend: Backend) -> HomeFeed:
    """Return a feed with ten activities."""
    feed = HomeFeed("bob", backend)
    feed.insert_activities(deeds(10))
    feed.add_many(deeds(10))
    return feed
