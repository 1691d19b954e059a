"""Both sides of every backend do the same work and return the same objects."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

from benchmarks import cassandra_server, redis_server
from benchmarks.measure import Effort
from benchmarks.operations import SCENARIOS, Scale
from benchmarks.operations.fan_out import LateFanOut
from benchmarks.raw.memory import RawMemorySide
from benchmarks.run import Disagreement, operation_names, run
from benchmarks.side import Side
from benchmarks.table import LABORATORIES, Laboratory, MemoryLaboratory
from benchmarks.workloads import MAX_PER_PAYLOAD, all_activities, payload_of
from feedstore import Activity, ActivityRef
from postgresql_programs import URL_VARIABLE
from servers.postgresql import PostgreSQLServer
from servers.redis import OwnRedisServer

TINY = Scale(short_timelines=3, long_timelines=2, calls=16, sizes=(40,))
ONE_PAIR = Effort(pairs=1, seconds=0)

# The sides of `redis_strings` differ from those of `redis` in timelines without payloads alone.
_WITHOUT_STRINGS = pytest.mark.parametrize(
    "laboratory", [name for name in LABORATORIES if name != "redis_strings"], indirect=True
)


@pytest.fixture(scope="module")
def benchmarked_redis() -> Iterator[OwnRedisServer]:
    """A server for the laboratories of Redis, as they start it."""
    server: OwnRedisServer = redis_server.start("--databases", "100")
    yield server
    server.stop()


@pytest.fixture(params=LABORATORIES)
def laboratory(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Laboratory]:
    """Each backend's laboratory."""
    if request.param == "postgresql":
        server: PostgreSQLServer = request.getfixturevalue("postgresql_server")
        monkeypatch.setenv(URL_VARIABLE, server.url("postgres"))
    elif request.param == "cassandra":
        node = request.getfixturevalue("flushing_cassandra")
        monkeypatch.setattr(cassandra_server, "start", lambda: node)
        monkeypatch.setattr(node, "stop", lambda: None)
    elif request.param.startswith("redis"):
        redis: OwnRedisServer = request.getfixturevalue("benchmarked_redis")
        with redis.client() as client:
            client.flushall()
        monkeypatch.setattr(redis_server, "start", lambda *settings: redis)
        monkeypatch.setattr(redis, "stop", lambda: None)
    with closing(LABORATORIES[request.param]()) as laboratory:
        yield laboratory


@pytest.fixture
def sides(laboratory: Laboratory) -> Iterator[list[Side]]:
    """The product's side and the raw one, both empty."""
    with ExitStack() as opened:
        yield [opened.enter_context(closing(make())) for make in (laboratory.open_product, laboratory.open_raw)]


def test_every_operation_ends_with_both_sides_alike(laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch) -> None:
    # It is for the figures, and takes longer than the rest: once shows that it works.
    laboratory.settle()
    monkeypatch.setattr(laboratory, "settle", lambda: None)
    rows = list(run("any", laboratory, TINY, ONE_PAIR, None))
    assert [row.operation for row in rows] == operation_names(TINY)
    assert {row.driver for row in rows} == {laboratory.driver}


def test_an_id_is_stored_once(sides: list[Side]) -> None:
    activities = all_activities(60)
    for side in sides:
        side.add_many("key", activities[:40])
        side.add_many("key", activities[20:])
        side.add_many("key", [activities[0], activities[0]])
        side.add_to_many(["key", "other"], activities[10:30], 1000)
        assert side.count("key") == 60
        assert side.count("other") == 20
        assert side.ids(["key"]) == {"key": newest_first(activities)}


@pytest.mark.parametrize("late", [0, 1, 30])
def test_a_fan_out_keeps_the_newest_and_no_more_than_it_may(sides: list[Side], late: int) -> None:
    activities = all_activities(100)
    for side in sides:
        side.add_many("long", activities[late:90])
        side.add_many("short", activities[50:55])
        side.add_to_many(["long", "short", "new"], [activities[0], *activities[88:]], 20)
        side.add_to_many(["long", "short", "new"], [activities[1]], 20)
        assert side.kept(["long", "short", "new"], 20) == {
            "long": newest_first(activities)[:20],
            "short": newest_first([*activities[:2], *activities[50:55], *activities[88:]]),
            "new": newest_first([*activities[:2], *activities[88:]]),
        }


def test_one_of_twenty_fan_outs_is_late(sides: list[Side]) -> None:
    late = LateFanOut(["full"], 50, 20, 50)
    assert [late.arguments(number)[0] for number in range(20)] == [
        all_activities(70)[50 + place] for place in (*range(1, 11), 0, *range(11, 20))
    ]
    for side in sides:
        side.add_to_many(["full"], all_activities(50), 50)
        for number in range(20):
            late.perform(side, late.arguments(number))
        assert late.outcome(side, 20) == {"full": newest_first(all_activities(70)[20:])}


def test_publishing_stores_the_activity_and_delivers_it(sides: list[Side]) -> None:
    activities = all_activities(60)
    for side in sides:
        side.add_many("full", activities[30:50])
        for activity in (*activities[50:], activities[55]):
            side.publish(activity, ["full", "new"], 20)
        assert side.kept(["full", "new"], 20) == {
            "full": newest_first(activities)[:20],
            "new": newest_first(activities[50:]),
        }
        assert side.newest_hydrated("full", 10) == list(activities[:49:-1])
        assert side.newest_hydrated("new", 10) == list(activities[:49:-1])


@_WITHOUT_STRINGS
def test_a_delivery_with_a_payload_keeps_the_newest_of_it_in_timelines_and_companions(sides: list[Side]) -> None:
    activities = all_activities(1000)
    groups = sorted({payload_of(activity) for activity in activities})
    assert {len(group) for group in groups} == {9}
    first = [activity for activity in activities if payload_of(activity) == groups[0]]
    for side in sides:
        side.add_with_payloads(["feed"], [*activities[1:5], *first[:MAX_PER_PAYLOAD]])
        for activity in (*first[MAX_PER_PAYLOAD:110], first[109]):
            side.publish_with_payload(activity, ["feed"], 1000, [":a", ":b"])
        assert side.ids(["feed"]) == {"feed": newest_first([*activities[1:5], *first[10:110]])}
        assert side.ids(["feed:a", "feed:b"]) == dict.fromkeys(["feed:a", "feed:b"], newest_first(first[100:110]))
        assert side.newest_hydrated("feed", 10) == first[109:99:-1]


@_WITHOUT_STRINGS
def test_a_trim_reaches_the_companions(sides: list[Side]) -> None:
    activities = all_activities(30)
    for side in sides:
        side.add_with_payloads(["feed"], activities[:10])
        for activity in activities[10:]:
            side.publish_with_payload(activity, ["feed"], 15, [":a"])
        assert side.kept(["feed", "feed:a"], 15) == dict.fromkeys(["feed", "feed:a"], newest_first(activities[15:]))


def test_reads_return_the_same_objects(sides: list[Side]) -> None:
    activities = all_activities(60)
    for side in sides:
        side.add_activities(activities)
        side.add_activities(activities[:5])
        side.add_many("key", activities)
        assert side.newest("key", 7) == [activity.reference for activity in activities[:52:-1]]
        assert {type(reference) for reference in side.newest("key", 7)} == {ActivityRef}
        hydrated = side.newest_hydrated("key", 7)
        assert hydrated == list(activities[:52:-1])
        assert {type(activity) for activity in hydrated} == {Activity}
        for limit in (1, 7, 60, 61):
            assert [one.serialization_id for one in side.walk("key", limit)] == newest_first(activities)
        assert side.index_of("key", activities[10].serialization_id) == 49
        assert side.contains("key", activities[10].serialization_id)
        assert not side.contains("key", activities[10].serialization_id ^ 1)
        assert side.count("key") == 60


def test_hydrating_leaves_out_what_is_gone(sides: list[Side]) -> None:
    activities = all_activities(20)
    for side in sides:
        side.add_activities(activities[::2])
        side.add_many("key", activities)
        assert side.newest_hydrated("key", 10) == list(activities[18:9:-2])


@_WITHOUT_STRINGS
def test_storing_more_takes_more(laboratory: Laboratory) -> None:
    if isinstance(laboratory, MemoryLaboratory):
        return
    with closing(laboratory.open_raw()) as side:
        before = side.stored_bytes()
        side.add_activities(all_activities(4000))
        # Activities are some 100 bytes long, and Cassandra compresses its files.
        assert side.stored_bytes() > before + 4000 * 40


class _Forgetful(RawMemorySide):
    """Loses the oldest activity of every call."""

    def add_ids(self, key: str, activity_ids: list[int]) -> None:  # type: ignore[override]
        super().add_ids(key, sorted(activity_ids)[1:])


class _ForgetfulLaboratory(MemoryLaboratory):
    def open_raw(self) -> Side:
        return _Forgetful()


def test_sides_that_hold_different_ids_are_an_error() -> None:
    with pytest.raises(Disagreement, match="timeline_add_many: after"):
        list(run("memory", _ForgetfulLaboratory(), TINY, ONE_PAIR, ["timeline_add_many"]))


def test_an_operation_has_one_name_and_tells_its_units() -> None:
    operations = [operation for make in SCENARIOS for operation in make(TINY).operations]
    assert len({operation.name for operation in operations}) == len(operations)
    assert all(operation.unit and operation.title and operation.units >= 1 for operation in operations)


def test_every_aim_is_of_an_operation_that_is_measured() -> None:
    names = set(operation_names(TINY))
    for laboratory in LABORATORIES.values():
        assert set(laboratory.aims) <= names


def newest_first(activities: list[Activity] | tuple[Activity, ...]) -> list[int]:
    return sorted((activity.serialization_id for activity in activities), reverse=True)
