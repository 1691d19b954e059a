"""Deliveries with limits, conditional writes and scans over buckets, under concurrency and lost answers."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import redis

import soak
from feedstore import Activity, connect
from feedstore.backends.redis import RedisBackend, enumeration
from feedstore.backends.redis.command import Command
from feedstore.errors import AtomicityError, InvalidValueError, StorageError
from feedstore.feeds import AggregatedFeed
from feedstore.feeds.groups import GroupEntry, hash_of
from feedstore.storage import Backend, TimelineStorage
from feedstore.storage.batch import WriteBatch
from feedstore.testing.delivery_suite import GroupSerializer, by
from feedstore.testing.processes import Child, run_in_threads
from stores import fresh_namespace

_KEYS = [f"{{r{number}}}:home" for number in range(120)]
_IDS = range(1, 9)
_SHARED = [f"{{r}}:{number}" for number in range(7)]


@pytest.fixture(params=["redis_url", "redis_cluster_url"])
def url(request: pytest.FixtureRequest) -> str:
    """The URL of a server, and of a Cluster."""
    found: str = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def backend(url: str) -> Iterator[Backend]:
    """A backend in a fresh namespace."""
    with connect(url, namespace=fresh_namespace()) as backend:
        yield backend


def _deliver(url: str, namespace: str) -> int:
    """Deliver the same entries as the other processes, and remove the seen ones from the companions."""
    added = 0
    with connect(url, namespace=namespace) as backend:
        groups = backend.timeline_storage(serializer_class=GroupSerializer)
        for activity_id in _IDS:
            actor = ("ann", "bob")[activity_id % 2]
            count = groups.add_to_many(
                _KEYS, by(actor, activity_id), max_length=6, max_per_payload=2, companions=[":unseen"]
            )
            added += count or 0
    return added


def test_threads_and_processes_that_deliver_the_same(url: str) -> None:
    """T1, T20, T21: each delivery counts in one process, and companions hold the entries of their timelines."""
    namespace = fresh_namespace()
    deliver = partial(_deliver, url, namespace)
    children = [Child(deliver), Child(deliver)]
    added = sum(run_in_threads([deliver, deliver])) + sum(child.result(60) for child in children)
    with connect(url, namespace=namespace) as backend:
        groups = backend.timeline_storage(serializer_class=GroupSerializer)
        homes = groups.get_many_pages(_KEYS, 9)
        unseen = groups.get_many_pages([f"{key}:unseen" for key in _KEYS], 9)
    newest = [(8, "ann"), (7, "bob"), (6, "ann"), (5, "bob")]
    assert {key: page.items for key, page in homes.items()} == dict.fromkeys(_KEYS, newest)
    assert [page.items for page in unseen.values()] == [newest] * len(_KEYS)
    # An entry that another delivery has dropped already is new for one that comes late.
    assert added >= len(_KEYS) * len(_IDS)


def test_a_delivery_that_is_repeated_beside_marks_brings_nothing_back(url: str) -> None:
    """T21: of four that deliver the same entries, one adds to the companion; a mark afterwards stays."""
    namespace = fresh_namespace()

    def deliver_and_mark() -> int:
        with connect(url, namespace=namespace) as backend:
            timelines = backend.timeline_storage()
            added = timelines.add_to_each(dict.fromkeys(_KEYS, _IDS), companions=[":unseen"])
            timelines.remove_from_many([f"{key}:unseen" for key in _KEYS], _IDS)
            return added or 0

    assert sum(run_in_threads([deliver_and_mark] * 4)) == len(_KEYS) * len(_IDS)
    with connect(url, namespace=namespace) as backend:
        timelines = backend.timeline_storage()
        assert sorted(timelines.keys()) == sorted(_KEYS)


def _deliver_in_a_batch(backend: Backend, keys: list[str]) -> None:
    with backend.batch() as batch:
        batch.timelines.add("other", 1)
        batch.timelines.add_to_many(keys, [1], companions=[":unseen"])


def test_a_companion_elsewhere_is_refused_by_name_on_a_cluster(backend: Backend) -> None:
    timelines = backend.timeline_storage()
    keys = [f"key{number}" for number in range(20)]
    assert isinstance(backend, RedisBackend)
    if not backend.session.keys().is_spread:
        assert timelines.add_to_many(keys, [1], companions=[":unseen"]) == 20
        assert timelines.count("key7:unseen") == 1
        return
    with pytest.raises(InvalidValueError, match="in braces"):
        timelines.add_to_many(keys, [1], companions=[":unseen"])
    with pytest.raises(InvalidValueError, match="in braces"):
        _deliver_in_a_batch(backend, keys)
    assert list(timelines.keys()) == []


def test_limits_in_an_atomic_batch_of_many_kinds(redis_url: str) -> None:
    """A later write of a batch sees the earlier ones, whichever way each takes in the script."""
    with connect(redis_url, namespace=fresh_namespace()) as backend:
        for atomic in (False, True):
            timelines = backend.timeline_storage(name=f"atomic {atomic}")
            groups = backend.timeline_storage(name=f"atomic {atomic}", serializer_class=GroupSerializer)
            groups.add_many("p", by("ann", 1, 2))
            keys = ["p", "a", "b", "c"]
            with backend.batch(atomic=atomic) as batch:
                timelines.add_to_many(keys, [3], max_length=3, batch_interface=batch)
                timelines.add_to_many(keys, [4, 5], max_length=3, batch_interface=batch)
                groups.add_to_each({"a": by("eve", 6)}, max_length=3, companions=["+"], batch_interface=batch)
                timelines.add_to_many(keys, [7], max_length=3, batch_interface=batch)
                timelines.delete("b", batch_interface=batch)
                timelines.add_to_each({"b": [8], "c": [2]}, max_length=3, batch_interface=batch)
            assert batch.results == [4, 8, 1, 4, None, 2]
            found = {key: [one for one, _ in groups.get_slice(key, 0, None)] for key in (*keys, "a+")}
            assert found == {"p": [7, 5, 4], "a": [7, 6, 5], "b": [8], "c": [7, 5, 4], "a+": [6]}
            assert [groups.get_page(key, 1).floor is None for key in keys] == [False, False, True, False]


def test_a_timeline_of_too_many_payloads_is_refused_by_name(redis_url: str) -> None:
    """One script reads all payloads of a timeline: 40,000 at most."""
    with connect(redis_url, namespace=fresh_namespace()) as backend:
        groups = backend.timeline_storage(serializer_class=GroupSerializer)
        groups.add_many("long", [Activity("ann", "like", "x", id=number) for number in range(41_000)])
        with pytest.raises(AtomicityError, match="41000"):
            groups.add_to_many(["long"], by("ann", 50_000), max_per_payload=2)
        # A limit of the length alone reads no payloads.
        assert groups.add_to_many(["long"], by("ann", 50_000), max_length=40_500, slack=5) == 1
        assert groups.count("long") == 40_500
        groups.add_to_many(["short", "other"], by("ann", 1, 2, 3), max_per_payload=2)
        assert groups.count("short") == 2


@pytest.mark.parametrize(
    ("number", "length", "limits", "expected", "later"),
    [
        (50, 900, {"max_length": 800, "max_per_payload": 700}, {702: 44, 902: 6}, {703}),
        (12, 2500, {"max_length": 2100}, {2100: 9, 2502: 3}, {2100, 2101}),
    ],
)
def test_an_atomic_batch_may_leave_limits_to_later_deliveries(
    redis_url: str, number: int, length: int, limits: dict[str, Any], expected: dict[int, int], later: set[int]
) -> None:
    """T20: with slack, it reads 40,000 payloads and drops 4,000 entries of chunks, and adds to all timelines."""
    with connect(redis_url, namespace=fresh_namespace()) as backend:
        groups, keys = backend.timeline_storage(serializer_class=GroupSerializer), list(map(str, range(number)))
        groups.add_to_many(keys, by("ann", *range(length)))
        for position, slack in enumerate((1000, 10)):
            with backend.batch(atomic=True) as batch:
                some = by("bob", length + position)
                groups.add_to_many(keys, some, **limits, slack=slack, batch_interface=batch)
            assert batch.results == [number]
        assert Counter(map(groups.count, keys)) == expected
        groups.add_to_many(keys, by("bob", length + 2), **limits, slack=10)
        assert set(map(groups.count, keys)) == later


def test_a_conditional_write_whose_answer_was_lost(url: str) -> None:
    """K7: the same script again answers as it did, also after the item has changed; another one sees the change."""
    with RedisBackend(url, namespace=fresh_namespace()) as backend:
        items, sent = backend.kv_storage(), list[Command]()
        write = backend.session.store.send

        def send(commands: list[Command]) -> list[object]:
            sent.extend(command for command in commands if command.writes)
            return write(commands)

        backend.session.store.send = send  # type: ignore[method-assign, assignment]
        assert items.insert("{a}:claim", 1) is True
        insert = sent[-1]
        assert items.insert("{a}:claim", 1) is False
        assert write([insert]) == [[1]]
        with backend.batch(atomic=True) as batch:
            batch.require(items, "{a}:claim", 1)
            items.replace("{a}:claim", 1, 2, batch_interface=batch)
        both = sent[-1]
        items.upsert("{a}:claim", 3)
        assert write([both]) == [[1, 1]]
        assert items.get("{a}:claim") == 3


def test_scans_over_all_buckets_and_over_one(backend: Backend) -> None:
    """K6, K8: more items than one part of a scan, in the order of the keys, in both directions and from any key."""
    items = backend.kv_storage("many")
    keys = sorted(
        [*(f"user{number % 70}:{number}" for number in range(2500)), *(f"{{u}}:{n}" for n in range(300)), "u"]
    )
    with backend.batch() as batch:
        for number, key in enumerate(keys):
            items.upsert(key, number, batch_interface=batch)
    assert list(items.keys()) == keys
    assert list(items.items(reverse=True)) == [(key, number) for number, key in reversed(list(enumerate(keys)))]
    for prefix in ("user1", "user1:", "{u}:", "{u", "u", "user69:24"):
        expected = [key for key in keys if key.startswith(prefix)]
        middle = expected[len(expected) // 2]
        assert list(items.keys(prefix)) == expected
        assert list(items.keys(prefix, after=middle)) == [key for key in expected if key > middle]
        assert list(items.keys(prefix, after=middle, reverse=True)) == [key for key in expected if key < middle][::-1]
    assert len(items.fetch_many(keys[::3])) == len(keys[::3])
    items.flush()
    assert list(items.keys()) == []


def test_names_are_read_in_several_parts(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part that is full is sent, and the next one begins."""
    monkeypatch.setattr(enumeration, "_MOST_PER_TRIP", 3)
    monkeypatch.setattr(enumeration, "_SCANNED_PER_TRIP", 3)
    names = [f"name-{number:02}" for number in range(20)]
    for name in names:
        backend.kv_storage(name).upsert("key", 1)
        backend.queue(name).push(1)
    found = backend.names()
    assert (list(found.kv), list(found.queues or ())) == (names, names)


def _some_deliveries(draw: random.Random) -> Callable[[TimelineStorage, WriteBatch | None], Any]:
    """Draw a write of groups to some of the keys, mostly an entry with a payload for all of them, with slack."""
    keys = draw.sample(_SHARED, draw.randrange(1, len(_SHARED) + 1))
    number = draw.choice([1, 1, 1, 3])
    some = [by(draw.choice("ab"), activity_id)[0] for activity_id in draw.sample(range(draw.choice([40, 400])), number)]
    limits: dict[str, Any] = {
        "max_length": 6,
        "max_per_payload": draw.choice([None, 4]),
        "slack": draw.choice([5, 5, 5, 2]),
    }
    kind = draw.choice(["many"] * 12 + ["each", "plain", "remove", "delete", "trim"])
    if kind == "plain":
        return lambda groups, batch: groups.add_to_many(keys, [1, 500], slack=5, max_length=6, batch_interface=batch)
    if kind == "remove":
        return lambda groups, batch: groups.remove_from_many(keys, range(0, 40, 3), batch_interface=batch)
    if kind == "delete":
        return lambda groups, batch: groups.delete(keys[0], batch_interface=batch)
    if kind == "trim":
        return lambda groups, batch: groups.trim(keys[0], 4, batch_interface=batch)
    if kind == "each":
        return lambda groups, batch: groups.add_to_each(dict.fromkeys(keys, some), **limits, batch_interface=batch)
    return lambda groups, batch: groups.add_to_many(keys, some, **limits, batch_interface=batch)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(soak.count(2, 60)))
def test_deliveries_with_slack_are_those_of_a_store_in_memory(backend: Backend, seed: int) -> None:
    """T20: alone and in batches, at the top and below it, the results, entries and floors are equal."""
    draw = random.Random(seed)
    with connect("memory://") as model:
        stores = [one.timeline_storage(serializer_class=GroupSerializer) for one in (backend, model)]
        for _ in range(60):
            writes = [_some_deliveries(draw) for _ in range(draw.choice([1, 1, 1, 4]))]
            results: list[list[Any]] = []
            for groups in stores:
                if len(writes) == 1:
                    results.append([writes[0](groups, None)])
                    continue
                with groups.get_batch_interface() as batch:
                    for write in writes:
                        write(groups, batch)
                results.append(batch.results)
            assert results[0] == results[1]
            pages = [groups.get_many_pages(_SHARED, 20) for groups in stores]
            assert pages[0] == pages[1]


def test_the_last_payload_of_an_id_wins_in_a_batch_of_several_scripts(redis_url: str) -> None:
    """T1: a script that reads 10,000 payloads leaves some of its timelines for a later round trip."""
    with connect(redis_url, namespace=fresh_namespace()) as backend:
        groups, keys = backend.timeline_storage(serializer_class=GroupSerializer), list(map(str, range(300)))
        groups.add_to_many(keys, by("ann", *range(60)))
        with backend.batch() as batch:
            for actor in ("bob", "eve"):
                some = by(actor, 60)
                groups.add_to_many(keys, some, max_length=50, max_per_payload=40, slack=10, batch_interface=batch)
        assert (batch.results, {groups.get_slice(key, 0, 1)[0] for key in keys}) == ([300, 0], {(60, "eve")})


def test_shared_deliveries_of_one_script_have_their_own_slack(redis_url: str) -> None:
    """T20: two timelines that end alike use up the slack of their own deliveries."""
    with connect(redis_url, namespace=fresh_namespace()) as backend:
        groups = backend.timeline_storage(serializer_class=GroupSerializer)
        groups.add_to_many(_SHARED[:2], by("ann", *range(7)))
        with backend.batch() as batch:
            for key, slack in zip(_SHARED, (2, 1), strict=False):
                same = backend.timeline_storage(serializer_class=GroupSerializer)
                same.add_to_many([key], by("ann", 9), max_length=6, slack=slack, batch_interface=batch)
        assert [groups.count(key) for key in _SHARED[:2]] == [8, 6]


def test_a_shared_delivery_to_lists_that_are_gone_or_foreign(redis_url: str) -> None:
    """T14: without its list, a timeline is one without payloads; a key of another type refuses the delivery by name."""
    with RedisBackend(redis_url, namespace=fresh_namespace(), buckets=1) as backend:
        groups = backend.timeline_storage(serializer_class=GroupSerializer)
        for activity_id in (1, 2):
            groups.add_to_many(_SHARED, by("ann", activity_id), max_length=6, slack=3)
        with redis.Redis.from_url(redis_url) as client:
            client.delete(backend.session.keys().payloads(0, _SHARED[1]))
            groups.add_to_many(_SHARED, by("bob", 3), max_length=6, slack=3)
            assert groups.get_slice(_SHARED[1], 0, None) == [(3, "bob"), (2, ""), (1, "")]
            assert groups.get_slice(_SHARED[2], 0, None) == [(3, "bob"), (2, "ann"), (1, "ann")]
            wrong = backend.session.keys().payloads(0, _SHARED[3])
            client.delete(wrong)
            client.sadd(wrong, "x")
            with pytest.raises(StorageError, match=f"WRONGTYPE.*{_SHARED[3]}"):
                groups.add_to_many(_SHARED, by("bob", 4), max_length=6, slack=3)
            assert [client.smembers(wrong), groups.get_slice(_SHARED[0], 0, 1)] == [{b"x"}, [(4, "bob")]]


def test_a_shared_delivery_to_timelines_with_chunks(backend: Backend) -> None:
    """T20: the limits are applied to a timeline whose older entries lie in chunks."""
    groups = backend.timeline_storage(serializer_class=GroupSerializer)
    keys = _SHARED[:3]
    groups.add_to_many(keys, [*by("ann", *range(1000)), *by("bob", *range(1000, 3000))])
    added = 0
    while groups.count(keys[0]) > 2100:
        groups.add_to_many(keys, by("cem", 5000 + added), max_length=3000, max_per_payload=900, slack=100)
        added += 1
    assert (added, [groups.count(key) for key in keys]) == (101, [1901] * 3)
    ids = [one for one, _ in groups.get_slice(keys[1], 0, None)]
    assert ids == [*range(5100, 4999, -1), *range(2999, 2099, -1), *range(999, 99, -1)]


def test_a_long_aggregated_feed_keeps_its_limits(redis_url: str) -> None:
    """A script applies limits to 40,000 entries at most, and the entries of a feed with its slack stay below that."""
    given = [GroupEntry(number, hash_of(str(number))) for number in range(40_000)]
    with connect(redis_url, namespace=fresh_namespace()) as backend:
        for length, slack in ((37_200, 800), (40_000, 0)):
            kind: type[AggregatedFeed] = type("LongFeed", (AggregatedFeed,), {"max_length": length})
            feed = kind(length, backend)
            feed.timelines.add_many(feed.key, given[: length + slack])
            feed.add_many([Activity("ann", "like", f"photo:{number}") for number in range(2_000)])
            assert (feed.timelines.count(feed.key), feed.count()) == (length, length)
