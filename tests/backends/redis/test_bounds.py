"""Scripts with bounded work, and the refusals of unbounded work."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import pytest

from feedstore import Activity
from feedstore.backends.redis import RedisBackend
from feedstore.backends.redis.command import Command
from feedstore.errors import AtomicityError, InvalidValueError, QueueFull
from feedstore.fanout import FeedManager, HomeFeed
from feedstore.ids import ID_BYTES
from feedstore.ingest import InputFollowers, Loader, Source
from feedstore.metrics import Metrics
from feedstore.serializers import MsgpackSerializer
from feedstore.storage import Batch, TimelineStorage
from servers.redis import OwnRedisServer
from stores import fresh_namespace

_ROWS = (
    b"id,time,actor,verb,object\n1,2026-05-01T12:00:00Z,star,post,p:1\n2,2026-05-01T12:00:01Z,star,post,p:2\n"
    b"3,2026-05-01T12:00:02Z,moon,post,p:3\n"
)
_FOLLOWERS = 5000
_LATE = range(1, 200_000, 100)


@pytest.fixture
def backend(redis_url: str) -> Iterator[RedisBackend]:
    """A backend in a fresh namespace."""
    with RedisBackend(redis_url, namespace=fresh_namespace()) as backend:
        yield backend


def _activities(count: int) -> list[Activity]:
    return [Activity("ann", "like", "photo:7", id=number) for number in range(count)]


class _FanOuts(Metrics):
    """Metrics that count the fan-outs to home feeds, also those of batches that were refused."""

    def __init__(self) -> None:
        self.count = 0

    def fanout_timer(self, feed_class: type) -> AbstractContextManager[Any]:
        """Count one."""
        self.count += feed_class is HomeFeed
        return super().fanout_timer(feed_class)


def test_chunks_with_more_deliveries_than_an_atomic_batch_holds_are_ingested(redis_url: str) -> None:
    followers = [f"r{number}" for number in range(_FOLLOWERS)]
    graph = InputFollowers([*((name, "star") for name in followers), *((name, "moon") for name in followers[:500])])
    metrics = _FanOuts()
    with RedisBackend(redis_url, namespace=fresh_namespace(), metrics=metrics) as backend:
        summary = Loader(FeedManager(backend, graph=graph), chunk_rows=1).load(Source("-", io.BytesIO(_ROWS)))
        assert summary.deliveries == 2 * _FOLLOWERS + 500
        timelines = backend.timeline_storage()
        found = timelines.get_many_slices([f"home:{name}" for name in followers], 0, 9)
        assert [len(found[f"home:{name}"]) for name in followers] == [3] * 500 + [2] * (_FOLLOWERS - 500)
        assert timelines.count("user:star") == 2
    # Each chunk makes one large fan-out, and one call for its small deliveries; the fourth chunk is empty. Only the
    # first chunk was tried as an atomic batch and refused.
    assert metrics.count == 9


_TOO_MUCH: list[tuple[Callable[[RedisBackend, Batch], Any], str]] = [
    (lambda b, batch: b.timeline_storage().add_to_many(map(str, range(5000)), [1], batch_interface=batch), "30 milli"),
    (lambda b, batch: b.timeline_storage().add_many("k", range(30_000), batch_interface=batch), "30 milliseconds"),
    (lambda b, batch: b.timeline_storage().remove_many("k", range(30_000), batch_interface=batch), "30 milliseconds"),
    (lambda b, batch: b.activity_storage().add_many(_activities(9000), batch_interface=batch), "milliseconds"),
    (lambda b, batch: b.timeline_storage().trim("long", 10, batch_interface=batch), "trim 4990 entries"),
    (lambda b, batch: b.timeline_storage().flush(batch_interface=batch), "flush 2101 timelines"),
]


def _write_atomically(backend: RedisBackend, write: Callable[[RedisBackend, Batch], Any]) -> None:
    with backend.batch(atomic=True) as batch:
        backend.timeline_storage().add("other", 1, batch_interface=batch)
        write(backend, batch)


@pytest.mark.parametrize(("write", "reason"), _TOO_MUCH)
def test_an_atomic_batch_that_is_too_much_for_one_script_is_refused_by_name(
    backend: RedisBackend, write: Callable[[RedisBackend, Batch], Any], reason: str
) -> None:
    timelines = backend.timeline_storage()
    backend.timeline_storage(serializer_class=MsgpackSerializer).add_many("long", _activities(5000))
    timelines.add_to_many([f"key{number}" for number in range(2100)], [1])
    with pytest.raises(AtomicityError, match=reason):
        _write_atomically(backend, write)
    assert timelines.count("other") == 0
    assert timelines.count("long") == 5000
    # Without atomic=True, the same is carried out.
    with backend.batch() as batch:
        write(backend, batch)
        timelines.add("other", 1, batch_interface=batch)
    assert timelines.count("other") == 1


def test_an_atomic_batch_flushes_what_it_added_and_what_was_there(backend: RedisBackend) -> None:
    timelines = backend.timeline_storage()
    payloads = backend.timeline_storage(serializer_class=MsgpackSerializer)
    timelines.add_to_many(["a", "b", "c"], [1])
    payloads.add("p", _activities(1)[0])
    with backend.batch(atomic=True) as batch:
        timelines.add("new", 1, batch_interface=batch)
        payloads.add("q", _activities(1)[0], batch_interface=batch)
        timelines.flush(batch_interface=batch)
        timelines.add("b", 2, batch_interface=batch)
    assert batch.results == [1, 1, None, 1]
    assert list(timelines.keys()) == ["b"]
    assert timelines.count("b") == 1
    assert payloads.get_slice_from_storage("q", 0, None) == []


def _scripts_run(server: OwnRedisServer) -> int:
    client: Any = server.client()
    try:
        return int(client.info("commandstats")["cmdstat_evalsha"]["calls"])
    finally:
        client.close()


def test_what_drops_many_entries_is_several_scripts(own_redis_server: OwnRedisServer) -> None:
    with RedisBackend(own_redis_server.url) as backend:
        timelines = backend.timeline_storage()
        payloads = backend.timeline_storage(serializer_class=MsgpackSerializer)
        for key in ("trimmed", "fan out", "many"):
            payloads.add_many(key, _activities(9000))
        calls: list[tuple[Callable[[], Any], int]] = [
            (lambda: payloads.trim("trimmed", 500), 8500),
            (lambda: timelines.add_to_many(["fan out", "new"], [9001], max_length=500), 2),
            (lambda: timelines.add_to_many(["many"], range(9000, 12_000), max_length=500), 3000),
        ]
        for call, expected in calls:
            before = _scripts_run(own_redis_server)
            assert call() == expected
            assert _scripts_run(own_redis_server) >= before + 4
        assert [timelines.count(key) for key in ("trimmed", "fan out", "many")] == [500] * 3
        assert timelines.get_page("fan out", 1).floor == 8501
        assert len(payloads.get_slice("trimmed", 0, None)) == 500


def test_a_trim_of_many_entries_without_payloads_is_one_script(own_redis_server: OwnRedisServer) -> None:
    with RedisBackend(own_redis_server.url) as backend:
        timelines = backend.timeline_storage()
        timelines.add_many("long", range(20_000))
        before = _scripts_run(own_redis_server)
        assert timelines.trim("long", 500) == 19_500
        assert _scripts_run(own_redis_server) == before + 1
        assert (timelines.count("long"), timelines.get_page("long", 1).floor) == (500, 19_500)


def test_fan_outs_to_a_timeline_that_had_chunks_write_one_short_string(own_redis_server: OwnRedisServer) -> None:
    with RedisBackend(own_redis_server.url, buckets=1) as backend, own_redis_server.client() as client:
        timelines = backend.timeline_storage()
        timelines.add_many("long", range(4000))
        for first in range(4000, 8000, 100):
            timelines.add_to_many(["long"], range(first, first + 100), max_length=1500)
        (timeline,) = client.scan_iter("*t:long")
        assert client.strlen(timeline) < 2000 * 16
        assert not client.exists(timeline.replace(b"t:long", b"p:long"))
        assert (timelines.count("long"), timelines.get_page("long", 1).floor) == (1500, 6500)


def test_adds_of_one_id_make_and_delete_chunks(own_redis_server: OwnRedisServer) -> None:
    with RedisBackend(own_redis_server.url, buckets=1) as backend, own_redis_server.client() as client:
        timelines = backend.timeline_storage()
        timelines.add_many("long", range(0, 4096, 2))
        (timeline,) = client.scan_iter("*t:long")
        side = timeline.replace(b"t:long", b"p:long")
        assert not client.exists(side)
        for number in (4096, 4087, 3):
            assert timelines.add("long", number) == 1
            assert client.exists(side)
        expected = sorted({*range(0, 4097, 2), 4087, 3}, reverse=True)
        assert [one.serialization_id for one in timelines.get_slice("long", 0, None)] == expected
        # The first add leaves chunks without entries, which the second one deletes.
        for number in (4098, 4100):
            assert timelines.add_to_many(["long"], [number], max_length=500) == 1
        assert not client.exists(side)
        assert (timelines.count("long"), timelines.get_page("long", 1).floor) == (500, 3103)


@pytest.mark.parametrize("newer", [0, 5, 35])
@pytest.mark.parametrize("keys", [["k"], ["j", "k"]])
def test_trimmed_ids_stay_in_front_until_they_are_a_quarter(
    own_redis_server: OwnRedisServer, keys: list[str], newer: int
) -> None:
    with RedisBackend(own_redis_server.url, buckets=1) as backend, own_redis_server.client() as client:
        timelines = backend.timeline_storage()
        timelines.add_to_many(keys, range(0, 40_000, 1000))
        longest = 0
        for step in range(60):
            timelines.add_to_many(keys, [(39 - newer) * 1000 + step + 1], max_length=40)
            longest = max(longest, *(client.strlen(key) for key in client.scan_iter("*t:[jk]")))
        assert timelines.count("k") == 40
        # They are 10 ids then. One is the floor, and the trailer takes the room of an id.
        assert longest <= (40 + 10 + 2) * ID_BYTES


def test_late_adds_and_removals_in_many_chunks_are_several_scripts(own_redis_server: OwnRedisServer) -> None:
    with RedisBackend(own_redis_server.url) as backend:
        timelines = backend.timeline_storage()
        timelines.add_many("long", range(0, 200_000, 2))
        before = _scripts_run(own_redis_server)
        late = range(1, 200_000, 100)
        assert timelines.add_many("long", late) == 2000
        assert _scripts_run(own_redis_server) >= before + 2
        before = _scripts_run(own_redis_server)
        assert timelines.remove_many("long", late) == 2000
        assert _scripts_run(own_redis_server) >= before + 2
        assert timelines.count("long") == 100_000
        assert timelines.get_slice("long", 99_999, None)[0].serialization_id == 0


def test_changes_of_the_chunks_of_many_timelines_are_several_scripts(own_redis_server: OwnRedisServer) -> None:
    with RedisBackend(own_redis_server.url) as backend:
        timelines = backend.timeline_storage()
        keys = [f"key{number}" for number in range(10)]
        timelines.add_to_many(keys, range(0, 80_000, 20))
        # A chunk has the ids of 2,520 numbers.
        late = range(1, 37_801, 2520)
        for change, expected in ((timelines.add_to_many, 4015), (timelines.remove_from_many, 4000)):
            before = _scripts_run(own_redis_server)
            assert change(keys, late) == 150
            assert _scripts_run(own_redis_server) >= before + 3
            assert {timelines.count(key) for key in keys} == {expected}


def test_entries_with_payloads_are_read_in_parts(backend: RedisBackend) -> None:
    payloads = backend.timeline_storage(serializer_class=MsgpackSerializer)
    several = _activities(2500)
    payloads.add_many("k", several)
    newest = several[::-1]
    assert payloads.get_slice("k", 0, None) == newest
    assert payloads.get_slice("k", 100, 2200) == newest[100:2200]
    assert payloads.get_slice("k", 1, 1001, {"activity_id__lt": 2000}) == newest[501:1501]
    assert payloads.get_many_slices(["k", "absent"], 5, None) == {"k": newest[5:], "absent": []}
    page = payloads.get_page("k", 2001)
    assert (page.items, page.complete) == (newest[:2001], False)
    payloads.trim("k", 1500)
    page = payloads.get_page("k", 2001)
    assert (page.items, page.floor) == (newest[:1500], 1000)


def test_a_directory_and_activities_that_are_scanned_in_parts(backend: RedisBackend, redis_url: str) -> None:
    keys = [f"key{number}" for number in range(10_500)]
    with RedisBackend(redis_url, namespace=fresh_namespace(), colocate=True) as one_bucket:
        timelines, activities = one_bucket.timeline_storage(), one_bucket.activity_storage()
        timelines.add_to_many(keys, [1])
        assert sorted(timelines.keys()) == sorted(keys)
        several = _activities(10_500)
        activities.add_many(several)
        assert list(activities.iterate()) == several
        timelines.flush()
        assert list(timelines.keys()) == []


def test_a_push_of_more_than_one_script_takes_is_refused_by_name(backend: RedisBackend) -> None:
    queue = backend.queue("q")
    with pytest.raises(InvalidValueError, match="5000 at most"):
        queue.push_many(range(5001))
    assert queue.count() == 0
    queue.push_many(range(5000))
    found = queue.receive_many(5000)
    assert [message for _, message in found] == list(range(5000))
    with pytest.raises(QueueFull):
        backend.queue("q", max_length=5000).push(1)


def test_a_queue_that_is_made_much_shorter_drops_in_parts(own_redis_server: OwnRedisServer) -> None:
    with RedisBackend(own_redis_server.url) as backend:
        backend.queue("q").push_many(range(1000))
        short = backend.queue("q", max_length=3, when_full="drop_oldest")
        before = _scripts_run(own_redis_server)
        short.push("new")
        assert _scripts_run(own_redis_server) >= before + 4
        assert [message for _, message in short.receive_many(9)] == [998, 999, "new"]


@pytest.mark.parametrize(
    ("write", "expected"),
    [
        (lambda timelines, batch: timelines.add_many("k", range(5001, 5006), batch_interface=batch), range(4991, 5006)),
        (lambda timelines, batch: timelines.remove_many("k", [4999, 5000], batch_interface=batch), range(4991, 4999)),
        (lambda timelines, batch: timelines.trim("k", 12, batch_interface=batch), range(4991, 5001)),
    ],
    ids=["add", "remove", "trim"],
)
def test_a_write_of_a_later_script_waits_for_a_trim_of_several_scripts(
    backend: RedisBackend, write: Callable[[Any, Batch], None], expected: range
) -> None:
    timelines, items = backend.timeline_storage(), backend.kv_storage()
    timelines.add_many("k", range(1, 5001))
    with backend.batch() as batch:
        timelines.trim("k", 10, batch_interface=batch)
        for number in range(600):
            items.upsert(f"item{number}", number, batch_interface=batch)
        write(timelines, batch)
        items.upsert("last", 1, batch_interface=batch)
    assert sorted(one.serialization_id for one in timelines.get_slice("k", 0, None)) == list(expected)
    assert batch.results[0] == 4990
    assert items.get("last") == 1


@pytest.mark.parametrize(
    ("write", "expected"),
    [
        (lambda timelines, batch: timelines.remove_many("k", _LATE[-10:], batch_interface=batch), 11_990),
        (lambda timelines, batch: timelines.trim("k", 10_000, batch_interface=batch), 10_000),
    ],
    ids=["remove", "trim"],
)
def test_a_write_of_a_later_script_waits_for_an_add_of_several_scripts(
    backend: RedisBackend, write: Callable[[Any, Batch], None], expected: int
) -> None:
    timelines = backend.timeline_storage()
    timelines.add_many("k", range(0, 200_000, 20))
    with backend.batch() as batch:
        timelines.add_many("k", _LATE, batch_interface=batch)
        timelines.add_many("other", range(2000), batch_interface=batch)
        write(timelines, batch)
    assert (batch.results[0], timelines.count("k")) == (2000, expected)


def _replace(timelines: TimelineStorage, batch: Batch) -> None:
    timelines.delete("k", batch_interface=batch)
    timelines.add_many("k", range(9000), batch_interface=batch)


def _fan_out(timelines: TimelineStorage, batch: Batch) -> None:
    timelines.add_to_many(["k", "other"], range(5000), batch_interface=batch)


@pytest.mark.parametrize("write", [_replace, _fan_out])
def test_writes_that_one_script_finishes_are_one_round_trip(
    backend: RedisBackend, monkeypatch: pytest.MonkeyPatch, write: Callable[[TimelineStorage, Batch], None]
) -> None:
    store, trips = backend.session.store, []
    send = store.send
    timelines = backend.timeline_storage()
    timelines.add("k", 1)

    def counted(commands: Sequence[Command]) -> list[Any]:
        trips.append(len(commands))
        return send(commands)

    monkeypatch.setattr(store, "send", counted)
    with backend.batch() as batch:
        write(timelines, batch)
    assert len(trips) == 1
    assert trips[0] > 2


def test_a_write_of_a_companion_waits_for_the_delivery_of_its_timeline(backend: RedisBackend) -> None:
    payloads = backend.timeline_storage(serializer_class=MsgpackSerializer)
    payloads.add_many("k", _activities(5000))
    with backend.batch() as batch:
        payloads.trim("k", 10, batch_interface=batch)
        payloads.add_to_many(["k"], [_activities(5001)[-1]], companions=[":unseen"], batch_interface=batch)
        payloads.trim("k:unseen", 0, batch_interface=batch)
    assert batch.results == [4990, 1, 1]
    page = payloads.get_page("k:unseen", 1)
    assert (list(page), page.floor) == ([], 5001)


def test_late_entries_of_several_scripts_leave_no_more_than_the_greatest_length(backend: RedisBackend) -> None:
    timelines = backend.timeline_storage(serializer_class=MsgpackSerializer)
    backend.timeline_storage().add_many("k", range(0, 200_000, 20))
    late = [Activity("ann", "like", "photo:7", id=number) for number in range(1, 200_000, 80)]
    assert timelines.add_to_many(["k", "new"], late, max_length=10_000) == 5000
    assert (timelines.count("k"), timelines.count("new")) == (10_000, 2500)
