"""Idle timelines that the server deletes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from feedstore.backends.redis import RedisBackend
from feedstore.backends.redis.command import Command
from feedstore.serializers import MsgpackSerializer
from feedstore.storage import Backend
from feedstore.testing.samples import with_id
from polling import poll_until
from stores import fresh_namespace

_LONG = 3600


@pytest.fixture(params=["redis_url", "redis_cluster_url"])
def url(request: pytest.FixtureRequest) -> str:
    """The URL of a server, and of a Cluster."""
    found: str = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def namespace() -> str:
    """A namespace that several backends share."""
    return fresh_namespace()


@pytest.fixture
def lasting(url: str, namespace: str) -> Iterator[RedisBackend]:
    """A backend whose timelines expire long after the test, so that their time to live can be read."""
    with RedisBackend(url, namespace=namespace, idle_expiry=_LONG) as backend:
        yield backend


def _payloads(backend: Backend) -> Any:
    return backend.timeline_storage(serializer_class=MsgpackSerializer)


def _milliseconds_left(backend: RedisBackend, key: str) -> list[int]:
    names = backend.session.keys()
    bucket = names.bucket_of(key)
    places = (names.timeline(bucket, key), names.payloads(bucket, key))
    return [backend.session.store.ask(Command(names.tag(bucket), ("PTTL", place))) for place in places]


def test_timelines_go_with_payloads_floor_and_name(url: str, namespace: str) -> None:
    with RedisBackend(url, namespace=namespace, idle_expiry=0.2) as backend:
        timelines, payloads = backend.timeline_storage(), _payloads(backend)
        timelines.add_to_many(["a", "b", "c"], range(5), max_length=2)
        for key in "pqr":
            payloads.add_many(key, [with_id(n, "old") for n in (1, 2, 3)])
            payloads.trim(key, 2)
        poll_until(lambda: not list(timelines.keys()), 10, "the expiry of all timelines")
        assert _milliseconds_left(backend, "p") == [-2, -2]
        for key in "abcpqr":
            page = timelines.get_page(key, 9)
            assert (page.items, page.complete, page.floor, timelines.count(key)) == ([], True, None, 0)
        for key in "ap":
            assert timelines.trim(key, 1) == 0
            assert timelines.remove(key, 3) == 0
        assert [timelines.add(key, 7) for key in "bq"] == [1, 1]
        assert timelines.add_to_many(["c", "r"], [7], max_length=2) == 2
        assert [timelines.get_page(key, 9).complete for key in "bcqr"] == [True] * 4


def test_every_write_renews_a_timeline_and_its_payloads(url: str, lasting: RedisBackend) -> None:
    timelines, payloads = lasting.timeline_storage(), _payloads(lasting)
    payloads.add_many("p", [with_id(n, "old") for n in (1, 2, 3)])
    timelines.add_to_many(["r"], [1, 2, 3])
    for write in (
        lambda: timelines.add_to_many(["p", "r"], [4], max_length=9),
        lambda: timelines.add_to_many(["p", "r"], [9], max_length=9),
        lambda: timelines.remove_from_many(["p", "r"], [1]),
        lambda: [timelines.trim(key, 2) for key in "pr"],
    ):
        with RedisBackend(url, namespace=lasting.namespace, idle_expiry=60) as shorter:
            _payloads(shorter).add("p", with_id(8, "new"))
            shorter.timeline_storage().add("r", 8)
            assert 0 < min(_milliseconds_left(shorter, "p")) <= 60_000
            assert 0 < _milliseconds_left(shorter, "r")[0] <= 60_000
        write()
        assert min(_milliseconds_left(lasting, "p")) > 60_000
        assert _milliseconds_left(lasting, "r")[0] > 60_000


def test_a_fan_out_at_the_top_renews_each_timeline(url: str, lasting: RedisBackend) -> None:
    plain, shared = [f"{{r}}:{number}" for number in range(3)], [f"{{p}}:{number}" for number in range(3)]

    def fan_out(backend: RedisBackend, number: int) -> None:
        backend.timeline_storage().add_to_many(plain, [number << 80])
        _payloads(backend).add_to_many(shared, [with_id(number << 80, "new")], max_length=9, slack=3)

    fan_out(lasting, 1)
    with RedisBackend(url, namespace=lasting.namespace, idle_expiry=60) as shorter:
        fan_out(shorter, 2)
        assert 0 < max(_milliseconds_left(shorter, key)[0] for key in plain + shared) <= 60_000
    fan_out(lasting, 3)
    assert min(_milliseconds_left(lasting, key)[0] for key in plain + shared) > 60_000
    assert min(_milliseconds_left(lasting, key)[1] for key in shared) > 60_000


def test_a_new_id_renews_a_timeline_and_its_chunks(url: str, lasting: RedisBackend) -> None:
    timelines = lasting.timeline_storage()
    timelines.add_to_many(["a", "b"], range(2100))
    for newest, keys in [(3000, ["a"]), (4000, ["a", "b"])]:
        with RedisBackend(url, namespace=lasting.namespace, idle_expiry=60) as shorter:
            shorter.timeline_storage().add_to_many(keys, [newest])
            assert 0 < max(_milliseconds_left(shorter, "a")) <= 60_000
        timelines.add_to_many(keys, [newest + 1])
        assert min(_milliseconds_left(lasting, "a")) > 60_000


def test_no_payload_outlives_its_timeline(url: str, namespace: str) -> None:
    # A writer without an expiry sets none on the payloads, so only the timeline expires.
    with (
        RedisBackend(url, namespace=namespace) as forever,
        RedisBackend(url, namespace=namespace, idle_expiry=_LONG) as brief,
    ):
        brief.timeline_storage().add("p", 1)
        _payloads(forever).add("p", with_id(2, "stale"))
        names = forever.session.keys()
        bucket = names.bucket_of("p")
        assert forever.session.store.ask(Command(names.tag(bucket), ("PEXPIRE", names.timeline(bucket, "p"), 1))) == 1
        poll_until(lambda: not forever.timeline_storage().count("p"), 10, "the expiry of the timeline")
        forever.timeline_storage().add("p", 2)
        assert _payloads(forever).get_slice_from_storage("p", 0, 9) == [(2, b"")]


def test_the_keys_of_a_bucket_are_those_that_did_not_expire(url: str, namespace: str) -> None:
    with RedisBackend(url, namespace=namespace, colocate=True) as backend:
        timelines, names = backend.timeline_storage(), backend.session.keys()
        timelines.add_to_many(["a", "b", "c"], [1])
        assert backend.session.store.ask(Command(names.tag(0), ("PEXPIRE", names.timeline(0, "b"), 1))) == 1
        poll_until(lambda: not timelines.count("b"), 10, "the expiry of the timeline")
        assert sorted(timelines.keys()) == ["a", "c"]
