"""Deliveries with limits, conditional writes and scans over buckets, under concurrency and lost answers."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from feedstore import Activity, connect
from feedstore.backends.redis import RedisBackend, enumeration
from feedstore.backends.redis.command import Command
from feedstore.errors import AtomicityError, InvalidValueError
from feedstore.storage import Backend
from feedstore.testing.delivery_suite import GroupSerializer, by
from feedstore.testing.processes import Child, run_in_threads
from stores import fresh_namespace

_KEYS = [f"{{r{number}}}:home" for number in range(120)]
_IDS = range(1, 9)


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
        groups.add_to_many(["short", "other"], by("ann", 1, 2, 3), max_per_payload=2)
        assert groups.count("short") == 2


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
