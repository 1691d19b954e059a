"""The import of stream_framework's data, of a real Redis and a real Cassandra that stream_framework has filled."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import redis

from compat.conftest import Written
from feedstore import Activity, connect
from feedstore.cli.main import main
from feedstore.compat.stream_framework_feeds import FeedRule, FeedRules, read_mapping
from feedstore.compat.stream_framework_import import StreamImport, import_stream_framework
from feedstore.errors import FeedstoreError, InputError
from feedstore.feeds import AggregatedFeed, Feed, NotificationFeed
from feedstore.storage import Backend

VERBS = {5: "share"}
NOON = datetime(2013, 7, 4, 12, 0, 0, 123456, tzinfo=timezone.utc)
OLD_ID = "13729392001230000002013003"
STORED = b"13,3,2013,0,1372939200.123456,"


class _Flat(Feed):
    key_format = "feed:normal:%(user_id)s"


class _Grouped(AggregatedFeed):
    key_format = "feed:aggregated:%(user_id)s"


class _Notified(NotificationFeed):
    key_format = "notification_feed:%(user_id)s"


@pytest.fixture
def written(redis_data: Written) -> Iterator[tuple[Any, str]]:
    """A client of an empty database on the server, and its URL."""
    assert redis_data.server is not None
    with redis.Redis(port=redis_data.server.port, db=1) as client:
        client.flushdb()
        yield client, redis_data.server.url + "/1"


def foreign_ids(activities: list[Activity]) -> list[int]:
    return [int(str(activity.foreign_id)) for activity in activities]


def add_activity(client: Any, old_id: str = OLD_ID, stored: bytes = STORED) -> None:
    """Write one activity into every shard, as the program that knows its shard would into one."""
    for shard in range(10):
        client.hset(f"global:{shard}", old_id, stored)


def test_feeds_hold_what_stream_framework_reads(redis_data: Written, backend: Backend) -> None:
    report = import_stream_framework(backend, redis_data.url, verbs=VERBS)
    for user, ids in redis_data.read["flat"].items():
        read = _Flat(int(user), backend)[:100]
        # Two activities of one millisecond may change places.
        assert sorted(foreign_ids(read), reverse=True) == ids
        assert read == sorted(read, key=lambda one: one.time, reverse=True) or ids[-1] // 10**13 == ids[-2] // 10**13
    by_foreign_id = {str(one.foreign_id): one for one in backend.activity_storage().iterate()}
    assert by_foreign_id[OLD_ID] == Activity(
        13,
        "love",
        2013,
        time=NOON,
        extra_context={"source": "mobile", "tags": ["a", "b"], "note": "é, ü"},
        foreign_id=OLD_ID,
    )
    shared = by_foreign_id["13729392011230000002015005"]
    assert (shared.verb, shared.target, shared.extra_context) == ("share", 77, {"at": NOON})
    # Both activities of the first millisecond are there.
    assert [one.object for one in by_foreign_id.values() if one.time == NOON] in ([2013, 2014], [2014, 2013])
    grouped = _Grouped(1, backend)[:20]
    assert [one.group for one in grouped] == ["love-2013-07-04", "share-2013-07-04"]
    assert [one.activity_count for one in grouped] == [15, 1]
    notified = {one.object_ids[0]: (one.is_seen, one.is_read) for one in _Notified(1, backend)[:20]}
    assert notified == {int(group.split("-")[1]): (seen, read) for group, seen, read in redis_data.read["notified"]}
    assert (report.activities, report.feeds, report.aggregated_feeds, report.groups) == (47, 2, 2, 7)
    assert report.new_activities == (42 if backend.abilities.exact_counts else None)
    assert (report.unseen, report.unread) == (3, 5)
    assert report.findings.lost == {"activities of groups that the source counts and does not hold": 26}
    again = import_stream_framework(backend, redis_data.url, verbs=VERBS)
    assert not again.new_activities
    assert len(list(backend.activity_storage().iterate())) == 42


def test_the_source_is_only_read_and_a_dry_run_finds_the_same(redis_data: Written) -> None:
    assert redis_data.server is not None
    with redis_data.server.client() as client:
        before = client.info("persistence")["rdb_changes_since_last_save"]
        report = import_stream_framework(connect("memory://"), redis_data.url, verbs=VERBS)
        dry = import_stream_framework(None, redis_data.url, verbs=VERBS)
        assert client.info("persistence")["rdb_changes_since_last_save"] == before
    assert {**dry.as_dict(), "seconds": 0, "new_activities": 42} == {**report.as_dict(), "seconds": 0}


def test_rules_choose_feeds_and_their_new_keys(redis_data: Written) -> None:
    backend = connect("memory://")
    rules: list[FeedRule | str] = [
        "feed:normal:%(user_id)s=flat=home:{user_id}",
        FeedRule("feed:aggregated:{user_id}", aggregator="{actor}"),
    ]
    report = import_stream_framework(backend, redis_data.url, verbs=VERBS, feeds=rules)
    assert sorted(backend.timeline_storage().keys()) == ["feed:aggregated:1", "home:1", "home:2"]
    assert report.other_keys == 1
    assert report.findings.changed["groups whose activities the aggregator puts into several groups"] == 1


def test_a_run_resumes_after_a_kill(redis_data: Written, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'feeds.db'}"
    program = (
        "import os, signal, sys\n"
        "from feedstore import connect\n"
        "from feedstore.compat.stream_framework_import import import_stream_framework\n"
        "steps = []\n"
        "def stop(report):\n"
        "    steps.append(report)\n"
        "    if len(steps) == 12: os.kill(os.getpid(), signal.SIGKILL)\n"
        "import_stream_framework(connect(sys.argv[1]), sys.argv[2], verbs={5: 'share'}, progress=stop)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    killed = subprocess.run([sys.executable, "-c", program, url, redis_data.url], env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    steps: list[int] = []
    with connect(url) as backend:
        report = import_stream_framework(
            backend, redis_data.url, verbs=VERBS, resume=True, progress=lambda found: steps.append(found.activities)
        )
        whole = import_stream_framework(connect("memory://"), redis_data.url, verbs=VERBS)
        assert report.is_resumed
        # The activities were stored before the kill. If they were read again, the counts would be higher.
        assert len(steps) < 12
        assert {**report.as_dict(), "seconds": 0, "resumed": False} == {**whole.as_dict(), "seconds": 0}
        assert not import_stream_framework(backend, redis_data.url, verbs=VERBS, resume=True).is_resumed


def test_verbs_without_a_name(redis_data: Written) -> None:
    with pytest.raises(InputError, match=r"the verb 5 has no name; .*\"verbs\""):
        import_stream_framework(connect("memory://"), redis_data.url)
    backend = connect("memory://")
    lost = import_stream_framework(backend, redis_data.url, on_error="skip").findings.lost
    assert lost["activities with the verb 5, which has no name"] == 2
    assert lost["entries whose activity the source does not hold, or is refused"] == 2 + 1
    assert len(list(backend.activity_storage().iterate())) == 41


@pytest.mark.parametrize(
    "stored",
    [b"", b"1,2,3", b"x,3,2013,0,1.5,", b"13,3,2013,0,soon,", b"13,3,2013,0,99999999999999,", b"13,99999,1,0,1.5,"],
)
def test_damaged_activities(written: tuple[Any, str], stored: bytes) -> None:
    client, url = written
    add_activity(client, stored=stored)
    with pytest.raises(InputError, match=OLD_ID):
        import_stream_framework(connect("memory://"), url)
    report = import_stream_framework(connect("memory://"), url, on_error="skip")
    assert (report.activities, sum(report.findings.lost.values()), len(report.findings.examples)) == (0, 10, 10)


def test_hostile_and_other_contexts(written: tuple[Any, str], tmp_path: Path) -> None:
    client, url = written
    hostile = pickle.dumps({"a": 1}).replace(b"K\x01", b"cos\nmkdir\n(X\x04\x00\x00\x00/tmptR")
    add_activity(client, stored=STORED + hostile.decode("latin-1").encode())
    with pytest.raises(InputError, match=rf"{OLD_ID}: the context is refused: .*'os\.mkdir'"):
        import_stream_framework(connect("memory://"), url)
    backend = connect("memory://")
    import_stream_framework(backend, url, on_error="skip")
    assert [one.extra_context for one in backend.activity_storage().iterate()] == [{}]
    # Python 2 wrote the bytes of a pickle of protocol 2 as they were.
    add_activity(client, stored=STORED + b"\x80\x02}q\x00U\x04nameq\x01U\x03\xc3\xa9aq\x02s.")
    import_stream_framework(backend, url)
    assert [one.extra_context for one in backend.activity_storage().iterate()] == [{"name": "éa"}]


def test_sorted_sets_of_all_sorts(written: tuple[Any, str]) -> None:
    client, url = written
    add_activity(client)
    client.zadd("feed:1", {OLD_ID: 7, "13729392001230000002014003": 13729392001230000002014003, "text": 1})
    client.zadd("scores", {"ann": 3})
    client.zadd(b"feed:\xff", {OLD_ID: 1})
    client.set("feed:2", "no sorted set")
    backend = connect("memory://")
    report = import_stream_framework(backend, url)
    assert list(backend.timeline_storage().keys()) == ["feed:1"]
    assert backend.timeline_storage().count("feed:1") == 1
    assert report.findings.lost == {
        "members of sorted sets in other formats": 1,
        "sorted sets whose key is not UTF-8": 1,
        "entries whose activity the source does not hold, or is refused": 1,
    }
    assert report.findings.changed == {"entries with another score than their id, which are ordered by time": 1}
    assert report.other_keys == 2


def test_long_feeds_and_hashes(written: tuple[Any, str]) -> None:
    """More entries than a step, more fields than a part of a scan."""
    client, url = written
    count = 1200
    stored = {}
    for n in range(count):
        old_id = f"{1372939200000 + n}{n:010d}003"
        stored[old_id] = f"13,3,{n},0,{1372939200 + n / 1000:.6f},"
    client.hset("global:0", mapping=stored)
    client.zadd("feed:1", {old_id: int(old_id) for old_id in stored})
    backend = connect("memory://")
    report = import_stream_framework(backend, url)
    assert (report.activities, report.findings.lost) == (count, {})
    assert backend.timeline_storage().count("feed:1") == count


def test_activities_that_are_written_during_the_import(written: tuple[Any, str]) -> None:
    """The activities are read first. A feed that is read later may refer to a newer one, which is stored with it."""
    client, url = written
    add_activity(client)
    # The clock of the application may be a little late.
    seconds = time.time() - 60
    new_id = f"{int(seconds * 1000)}{7:010d}003"

    def write(report: StreamImport) -> None:
        if report.activities == 10:
            add_activity(client, new_id, f"13,3,7,0,{seconds:.6f},".encode())
            client.zadd("feed:1", {OLD_ID: int(OLD_ID), new_id: int(new_id)})

    backend = connect("memory://")
    import_stream_framework(backend, url, progress=write)
    assert foreign_ids(Feed.at_key("feed:1", backend)[:5]) == [int(new_id), int(OLD_ID)]


def test_deprecated_notification_feeds_keep_their_marks(written: tuple[Any, str]) -> None:
    """Golden bytes of the format v3, with the times of seeing and reading."""
    client, url = written
    member = b"v33-2013-2013-07-04;;1372939200.123456;;1372939200.123456;;%s;;%s;;" + STORED + b";;0"
    client.zadd("notification_feed:1:user:7", {member % (b"1372939300.000000", b"1372939100.000000"): 1})
    backend = connect("memory://")
    report = import_stream_framework(backend, url)
    (item,) = NotificationFeed.at_key("notification_feed:1:user:7", backend)[:5]
    assert (item.is_seen, item.is_read, item.actor_ids) == (True, False, [13])
    assert foreign_ids(list(item.activities)) == [int(OLD_ID)]
    assert report.findings.changed == {"times of seeing and reading that become marks": 1}
    lost = import_stream_framework(None, url, feeds=["notification_feed:1:user:%(user_id)s=aggregated"]).findings.lost
    assert lost == {"times of seeing and reading": 1}


def test_marks_of_long_notification_feeds(written: tuple[Any, str]) -> None:
    """A feed of more than 1,000 groups is read in parts. A mark is lost only if no part holds its group."""
    client, url = written
    count, first = 1_100, 1372939200
    members = {}
    for n in range(count):
        activity = f"13,3,{n},0,{first + n}.000000,"
        members[f"v33-{n}-2013-07-04;;{first + n}.000000;;{first + n}.000000;;-1;;-1;;{activity};;0"] = first + n
    client.zadd("notification_feed:1", members)
    marks = [str((first + n) * 1000) for n in (0, count - 1, count)]
    client.rpush("list:notification_feed:1:unseen", *marks)
    client.rpush("list:notification_feed:1:unread", *marks[:2])
    backend = connect("memory://")
    rules = ["notification_feed:%(user_id)s=notification"]
    report = import_stream_framework(backend, url, feeds=rules)
    assert (report.groups, report.unseen, report.unread) == (count, 2, 2)
    assert report.findings.lost == {"marks of aggregated activities that the feed does not hold": 1}


def test_damaged_activities_in_groups(written: tuple[Any, str]) -> None:
    client, url = written
    member = b"v33-2013-2013-07-04;;1372939200.123456;;1372939200.123456;;-1;;-1;;13,3;" + STORED + b";;0"
    client.zadd("notification_feed:1", {member: 1})
    with pytest.raises(InputError, match=r"'13,3'.* has 2 fields"):
        import_stream_framework(connect("memory://"), url)
    report = import_stream_framework(connect("memory://"), url, on_error="skip")
    assert (report.activities, report.findings.lost) == (1, {"activities that are refused": 1})


def test_golden_dehydrated_groups(written: tuple[Any, str]) -> None:
    client, url = written
    other = "13729392011230000002014003"
    add_activity(client)
    add_activity(client, other, b"14,3,2014,0,1372939201.123456,")
    member = f"v33-2013-07-04;;1372939200.123456;;1372939201.123456;;-1;;-1;;{OLD_ID};{other};;0"
    client.zadd("aggregated:1", {member: 1372939201000})
    backend = connect("memory://")
    import_stream_framework(backend, url)
    (item,) = AggregatedFeed.at_key("aggregated:1", backend)[:5]
    assert (item.group, item.actor_ids, item.updated_at) == ("love-2013-07-04", [14, 13], NOON + timedelta(seconds=1))


def test_cassandra(cassandra_data: Written) -> None:
    backend = connect("memory://")
    classes = {"Share": "share"}
    report = import_stream_framework(backend, cassandra_data.url, verbs=VERBS, verb_classes=classes)
    flat = {user: Feed.at_key(f"timelines:feed:{user}", backend)[:100] for user in ("1", "2")}
    for user, ids in cassandra_data.read["flat"].items():
        assert sorted(foreign_ids(flat[user]), reverse=True) == ids
    assert flat["2"][-1].extra_context == {"at": NOON}
    grouped = AggregatedFeed.at_key("aggregated:aggregated:1", backend)[:20]
    assert sorted([one.group, one.activity_count] for one in grouped) == [
        ["love-2013-07-04", 5],
        ["share-2013-07-04", 1],
    ]
    assert (report.feeds, report.aggregated_feeds, report.groups) == (2, 1, 2)
    rules = ["timelines/feed:%(user_id)s=flat=home:{user_id}"]
    other = connect("memory://")
    chosen = import_stream_framework(other, cassandra_data.url, verbs=VERBS, feeds=rules)
    assert sorted(other.timeline_storage().keys()) == ["home:1", "home:2"]
    assert chosen.other_keys == 1
    with pytest.raises(InputError, match=r"the aggregated activity .*: the class of verbs .*Share.* is not known"):
        import_stream_framework(other, cassandra_data.url, verbs=VERBS)


def test_the_command(redis_data: Written, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mapping = tmp_path / "mapping.json"
    mapping.write_text(json.dumps({"verbs": {"5": "share"}, "feeds": [{"source": "feed:normal:%(user_id)s"}]}))
    store = tmp_path / "feeds.db"
    command = ["import", "stream-framework", "--from", redis_data.url, "--store", f"sqlite:///{store}"]
    assert main([*command, "--dry-run"]) == 0
    dry = capsys.readouterr().out
    assert "lost        2 activities with the verb 5, which has no name" in dry
    assert "nothing was stored" in dry
    assert not store.exists()
    assert main([*command, "--mapping", str(mapping), "--progress", "none", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["activities"], found["feeds"], found["lost"]) == (42, 2, {})
    assert main([*command, "--dry-run", "--resume"]) == 2
    mapping.write_text("[")
    assert main([*command, "--mapping", str(mapping)]) == 2


@pytest.mark.parametrize(
    "call",
    [
        lambda: FeedRule("feed"),
        lambda: FeedRule("feed:%(user_id)s", "sorted"),
        lambda: FeedRule("feed:%(user_id)s", target="home"),
        lambda: FeedRule("feed:%(user_id)s", aggregator="{colour}"),
        lambda: FeedRule.parse("feed:%(user_id)s"),
        lambda: FeedRules([7]),  # type: ignore[list-item]
        lambda: read_mapping([]),
        lambda: read_mapping({"verb": {}}),
        lambda: read_mapping({"verbs": {"x": "like"}}),
        lambda: import_stream_framework(None, "sqlite:///x.db"),
        lambda: import_stream_framework(None, "redis+cluster://localhost"),
        lambda: import_stream_framework(None, "redis://localhost", on_error="never"),
    ],
)
def test_wrong_arguments(call: Any) -> None:
    with pytest.raises(FeedstoreError):
        call()


def test_the_longest_rule_counts() -> None:
    rules = FeedRules(["feed:%(user_id)s=flat", "feed:grouped:%(user_id)s=aggregated"])
    found = rules.find("feed:grouped:7")
    assert found is not None
    assert (found[0].kind, found[1]) == ("aggregated", "7")
    assert rules.find("other:7") is None
