"""Large values, large calls, and many commands in one of them; long reads, and reads of many timelines."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from feedstore import Activity, connect
from feedstore.backends.redis import RedisBackend
from feedstore.backends.redis.command import Command
from feedstore.backends.redis.store import Store
from feedstore.errors import StorageError
from feedstore.serializers import MsgpackSerializer
from feedstore.storage import Backend
from feedstore.testing.delivery_suite import GroupSerializer, by
from servers.redis import OwnRedisServer
from stores import fresh_namespace

_MEGABYTE = 1_000_000


@pytest.fixture(params=["redis_url", "redis_cluster_url"])
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """A backend on a server, and on a Cluster."""
    with connect(request.getfixturevalue(request.param), namespace=fresh_namespace()) as backend:
        yield backend


def activity_of(size: int, number: int = 0) -> Activity:
    return Activity("ann", "like", f"photo:{number}", extra_context={"text": "x" * size})


def test_an_activity_of_several_megabytes(backend: Backend) -> None:
    large = activity_of(4 * _MEGABYTE)
    activities, timelines = backend.activity_storage(), backend.timeline_storage()
    payloads = backend.timeline_storage(serializer_class=MsgpackSerializer)
    assert activities.add(large) == 1
    assert timelines.add("key", large) == 1
    assert timelines.get_slice("key", 0, 1, hydrate_from=activities) == [large]
    assert payloads.add_to_many(["a", "b"], [large]) == 2
    assert payloads.get_slice("b", 0, 1) == [large]
    backend.kv_storage().upsert("item", "x" * 4 * _MEGABYTE)
    assert backend.kv_storage().fetch_one("item") == "x" * 4 * _MEGABYTE


def test_many_large_activities_in_one_call(backend: Backend) -> None:
    several = [activity_of(_MEGABYTE, number) for number in range(12)]
    assert backend.activity_storage().add_many(several) == 12
    assert backend.activity_storage().get_many(several) == several
    payloads = backend.timeline_storage(serializer_class=MsgpackSerializer)
    assert payloads.add_many("key", several) == 12
    assert payloads.trim("key", 2) == 10
    assert payloads.count("key") == 2


def test_more_entries_than_a_script_takes_arguments(backend: Backend) -> None:
    timelines = backend.timeline_storage()
    payloads = backend.timeline_storage(serializer_class=MsgpackSerializer)
    assert timelines.add_to_many(["a", "b"], range(9000), max_length=8500) == 18_000
    assert timelines.get_page("a", 1).floor == 500
    assert timelines.remove_from_many(["a", "b"], range(500, 8900)) == 16_800
    assert timelines.count("b") == 100
    several = [activity_of(1, number) for number in range(9000)]
    assert payloads.add_many("p", several) == 9000
    assert payloads.get_slice("p", 0, None) == sorted(several, key=lambda one: -one.serialization_id)
    assert backend.activity_storage().add_many(several) == 9000
    assert len(payloads.get_slice("p", 0, None, hydrate_from=backend.activity_storage())) == 9000
    assert payloads.trim("p", 10) == 8990
    with backend.batch() as batch:
        for number in range(3000):
            timelines.add(f"key{number % 7}", number, batch_interface=batch)
    assert sum(batch.results) == 3000


def test_a_flush_lets_others_in_after_250_timelines(own_redis_server: OwnRedisServer) -> None:
    client = own_redis_server.client()

    def scripts_run() -> int:
        return int(client.info("commandstats")["cmdstat_evalsha"]["calls"])

    with connect(own_redis_server.url, buckets=1) as backend:
        timelines = backend.timeline_storage()
        timelines.add_to_many([f"key{number}" for number in range(1000)], [1])
        # The script of all other writes is loaded.
        timelines.add("key0", 2)
        before = scripts_run()
        timelines.flush()
        assert scripts_run() >= before + 4
        assert list(timelines.keys()) == []
    client.close()


def test_a_value_that_the_server_does_not_take_is_one_clear_error() -> None:
    server = OwnRedisServer("--proto-max-bulk-len", "2mb")
    try:
        with connect(server.url, retry_seconds=0.2) as backend:
            with pytest.raises(StorageError, match=server.url):
                backend.activity_storage().add(activity_of(10 * _MEGABYTE))
            assert list(backend.activity_storage().iterate()) == []
            assert backend.activity_storage().add(activity_of(1)) == 1
    finally:
        server.stop()


def _requests(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that grows by the number of commands of each round trip."""
    send, together, requests = Store.send, Store.ask_together, list[int]()

    def counted(store: Store, commands: list[Command]) -> list[object]:
        requests.append(len(commands))
        return send(store, commands)

    monkeypatch.setattr(Store, "send", counted)

    def counted_together(
        store: Store, commands: list[Command], otherwise: Command
    ) -> tuple[list[object] | None, object]:
        requests.append(len(commands))
        return together(store, commands, otherwise)

    monkeypatch.setattr(Store, "ask", lambda store, command: counted(store, [command])[0])
    monkeypatch.setattr(Store, "ask_together", counted_together)
    return requests


def test_columns_of_more_entries_than_one_script_reads(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """T23: no entry is read twice, and ids without payloads take one script."""
    with RedisBackend(redis_url, namespace=fresh_namespace()) as backend:
        groups = backend.timeline_storage(serializer_class=GroupSerializer)
        groups.add_many("k", [*by("ann", *range(1, 2_060, 2)), *by("bob", *range(0, 2_060, 2))])
        expected = groups.get_slice("k", 0, 2_050)
        requests = _requests(monkeypatch)
        columns = groups.get_columns("k", 2_050)
        found = zip(columns.ids, columns.payloads, strict=True)
        assert [(one, payload.decode()) for one, payload in found] == expected
        # A transaction finds chunks, and scripts read the timeline.
        assert requests == [2, 1, 1]
        requests.clear()
        assert list(groups.get_columns("k", 2_050).ids) == list(columns.ids)
        assert requests == [1, 1]
        groups.trim("k", 2_005)
        requests.clear()
        columns = groups.get_columns("k", 3_000)
        assert (list(columns.ids), columns.floor) == ([*range(2_059, 54, -1)], 55)
        assert requests == [1, 1]
        requests.clear()
        assert len(backend.timeline_storage().get_columns("k", 3_000)) == 2_005
        assert requests == [1]


def test_long_slices_of_several_timelines(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with RedisBackend(redis_url, namespace=fresh_namespace()) as backend:
        groups = backend.timeline_storage(serializer_class=GroupSerializer)
        groups.add_to_many(["j", "k"], by("ann", *range(10)))
        groups.add_many("k", by("bob", *range(10, 1_200)))
        requests = _requests(monkeypatch)
        for stop, least in ((None, 0), (1_100, 100)):
            slices = groups.get_many_slices(["j", "k", "l"], 5, stop)
            ids = {key: [one for one, _ in found] for key, found in slices.items()}
            assert ids == {"j": [*range(4, -1, -1)], "k": [*range(1_194, least - 1, -1)], "l": []}
        assert requests == [3, 1] * 2


@pytest.mark.parametrize("stop", [None, 2])
def test_slices_of_absent_timelines(redis_url: str, monkeypatch: pytest.MonkeyPatch, stop: int | None) -> None:
    with RedisBackend(redis_url, namespace=fresh_namespace()) as backend:
        groups = backend.timeline_storage(serializer_class=GroupSerializer)
        keys = [f"k{number}" for number in range(120)]
        groups.add_to_many(keys[::50], [*by("ann", 0, 2), *by("bob", 1)])
        expected = {key: groups.get_slice(key, 0, stop) for key in keys}
        requests = _requests(monkeypatch)
        for some in (keys, keys[:2]):
            assert groups.get_many_slices(some, 0, stop) == {key: expected[key] for key in some}
        assert requests == [120, 3, 2]
