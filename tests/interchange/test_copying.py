"""Copies of stores: their passes, writes of others during the copy, interruptions, and the comparison."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feedstore import Activity, connect
from feedstore.cli.main import main
from feedstore.errors import InvalidValueError
from feedstore.events import BackendEventStore, Event
from feedstore.events.layout import EntrySerializer
from feedstore.fanout import FeedManager
from feedstore.feeds import NotificationFeed
from feedstore.interchange.copying import CopyReport, copy_store
from feedstore.privacy.progress import ErasureProgress
from feedstore.privacy.scope import OWN_COLLECTIONS
from feedstore.serializers import MsgpackSerializer
from feedstore.storage import Backend
from feedstore.testing.samples import HARD_KEYS, make_activities, make_activity
from feedstore.testing.suite import OpenBackend

FLOORS = "floors"


def fill(backend: Backend) -> None:
    """Write something of everything that a copy holds."""
    activities = make_activities(30)
    backend.activity_storage().add_many(activities)
    backend.activity_storage(name="posts").add_many(activities[:3])
    timelines = backend.timeline_storage()
    for key in HARD_KEYS:
        timelines.add_many(key, activities[:5])
    timelines.add_many("long", range(1, 1300))
    timelines.trim("long", 1200)
    timelines.add_many("trimmed", activities)
    timelines.trim("trimmed", 20)
    timelines.add("trimmed", activities[2])
    backend.timeline_storage(MsgpackSerializer, name="posts").add_many("payloads", activities[:4])
    feed = NotificationFeed("bob", backend)
    feed.add_many(activities[:6])
    feed.mark_activities(activities[:2])
    for name in ("default", "marks"):
        backend.kv_storage(name).upsert("a", {"n": 1, "b": b"x"})
        backend.kv_storage(name).upsert("b", None)


def contents(backend: Backend) -> dict[str, Any]:
    """Return all that :func:`fill` writes, read through the contract."""
    found: dict[str, Any] = {}
    for name in ("default", "posts"):
        found[f"activities {name}"] = list(backend.activity_storage(name=name).iterate())
        timelines = backend.timeline_storage(name=name)
        pages = timelines.get_many_pages(sorted(timelines.keys()), 2000)
        found[f"timelines {name}"] = {
            key: [entry.serialization_id for entry in page.items] for key, page in pages.items()
        }
        found[FLOORS] = {**found.get(FLOORS, {}), **{key: page.floor for key, page in pages.items()}}
    found["payloads"] = backend.timeline_storage(MsgpackSerializer, name="posts").get_slice("payloads", 0, None)
    found["counts"] = NotificationFeed("bob", backend).counts()
    for name in ("default", "marks"):
        found[f"items {name}"] = list(backend.kv_storage(name).items())
    return found


def assert_equal(source: Backend, target: Backend) -> None:
    one, other = contents(source), contents(target)
    if not (source.abilities.exact_floor and target.abilities.exact_floor):
        # A floor may be higher, up to the oldest entry that the trim kept.
        assert {key for key, floor in one.pop(FLOORS).items() if floor} == {
            key for key, floor in other.pop(FLOORS).items() if floor
        }
    assert other == one


def test_a_copy_from_every_store(shared_backend: OpenBackend) -> None:
    source, target = shared_backend(), connect("memory://")
    fill(source)
    report = copy_store(source, target)
    assert_equal(source, target)
    assert (report.activities, report.items) == (33, 4)
    assert report.timelines == len(HARD_KEYS) + 6
    assert (report.caught_up.total, report.differences.total) == (0, 0)


def test_a_copy_into_every_store(shared_backend: OpenBackend) -> None:
    source, target = connect("memory://"), shared_backend()
    fill(source)
    report = copy_store(source, target)
    assert_equal(source, target)
    assert report.differences.total == 0


def test_the_second_pass_notices_all_that_changed(shared_backend: OpenBackend) -> None:
    """The writes come while the first pass runs, and after it."""
    source, target = connect("memory://"), shared_backend()
    fill(source)
    copy_store(source, target, passes=["copy"])
    timelines, activities = source.timeline_storage(), make_activities(30)
    source.activity_storage().remove_many(activities[:4])
    source.activity_storage().add(make_activity(7, extra_context={"edited": True}))
    source.activity_storage(name="later").add(make_activity(1))
    timelines.delete(HARD_KEYS[0])
    timelines.remove("long", 500)
    timelines.trim("trimmed", 7)
    timelines.delete("long")
    timelines.add_many("long", range(200, 900, 2))
    timelines.add("new", 5)
    source.timeline_storage(MsgpackSerializer, name="posts").add("payloads", make_activity(1, extra_context={"n": 2}))
    NotificationFeed("bob", source).mark_all(read=True)
    source.kv_storage().delete("a")
    source.kv_storage("marks").upsert("b", False)
    source.kv_storage("added").upsert("c", 1.0)
    before = copy_store(source, target, passes=["compare"])
    assert before.differences.total > 0
    assert before.differences.counts["missing entries"] >= 1
    report = copy_store(source, target, passes=["catch-up", "compare"])
    assert report.caught_up.counts.keys() == before.differences.counts.keys()
    assert report.differences.total == 0, report.differences.examples
    assert_equal(source, target)
    assert list(target.kv_storage("added").items()) == [("c", 1.0)]
    assert target.activity_storage(name="later").get(make_activity(1)) == make_activity(1)


@pytest.mark.parametrize("backend_kind", ["sqlite"])
def test_a_source_in_use(backend: Backend) -> None:
    """Each step of the first pass is followed by writes of others. The next run of the second pass catches up."""
    target, number = connect("memory://"), iter(range(10_000))
    fill(backend)

    def write(_: CopyReport) -> None:
        n = next(number)
        backend.timeline_storage().add(f"busy{n % 7}", 10_000 + n)
        backend.timeline_storage().remove(HARD_KEYS[n % 3], make_activity(n % 5))
        backend.kv_storage("busy").upsert(f"k{n}", n)
        backend.kv_storage("busy").delete(f"k{n - 2}")

    copy_store(backend, target, passes=["copy", "catch-up"], progress=write)
    copy_store(backend, target, passes=["catch-up"])
    assert copy_store(backend, target, passes=["compare"]).differences.total == 0
    assert_equal(backend, target)


_WRITES = st.lists(
    st.tuples(
        st.sampled_from(["add", "remove", "trim", "delete", "upsert", "drop", "store", "forget"]),
        st.sampled_from(["a", "b"]),
        st.integers(1, 12),
    ),
    max_size=25,
)


@settings(max_examples=30)
@given(_WRITES, _WRITES)
def test_any_writes_before_and_after_the_first_pass(before: list[Any], after: list[Any]) -> None:
    source, target = connect("memory://"), connect("memory://")
    for backend, writes in ((source, before), (target, [])):
        carry_out(backend, writes)
    copy_store(source, target, passes=["copy"])
    carry_out(source, after)
    assert copy_store(source, target, passes=["catch-up", "compare"]).differences.total == 0
    keys = sorted(source.timeline_storage().keys())
    assert sorted(target.timeline_storage().keys()) == keys
    one, other = (backend.timeline_storage().get_many_pages(keys, 50) for backend in (source, target))
    assert one == other
    assert list(target.kv_storage().items()) == list(source.kv_storage().items())
    assert list(target.activity_storage().iterate()) == list(source.activity_storage().iterate())


def carry_out(backend: Backend, writes: list[Any]) -> None:
    timelines, items = backend.timeline_storage(), backend.kv_storage()
    for kind, key, number in writes:
        if kind == "add":
            timelines.add(key, number)
        elif kind == "remove":
            timelines.remove(key, number)
        elif kind == "trim":
            timelines.trim(key, number % 5)
        elif kind == "delete":
            timelines.delete(key)
        elif kind == "upsert":
            items.upsert(key, number)
        elif kind == "drop":
            items.delete(key)
        elif kind == "store":
            backend.activity_storage().add(make_activity(number))
        else:
            backend.activity_storage().remove(make_activity(number))


def test_a_copy_resumes_after_a_kill(tmp_path: Path) -> None:
    source_url, target_url = (f"sqlite:///{tmp_path / name}.db" for name in ("source", "target"))
    program = (
        "import os, signal, sys\n"
        "from feedstore import connect\n"
        "from feedstore.interchange.copying import copy_store\n"
        "steps = []\n"
        "def stop(report):\n"
        "    steps.append(report)\n"
        "    if len(steps) == 6: os.kill(os.getpid(), signal.SIGKILL)\n"
        "copy_store(connect(sys.argv[1]), connect(sys.argv[2]), progress=stop)\n"
    )
    with connect(source_url) as source, connect(target_url) as target:
        fill(source)
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        killed = subprocess.run([sys.executable, "-c", program, source_url, target_url], env=environment, check=False)
        assert killed.returncode == -signal.SIGKILL
        written = len(list(target.activity_storage().iterate()))
        assert written == 30
        report = copy_store(source, target, resume=True)
        assert report.is_resumed
        assert (report.activities, report.items, report.differences.total) == (33, 4, 0)
        assert_equal(source, target)
        assert not copy_store(source, target, resume=True).is_resumed


class _Stop(Exception):
    """Ends a copy in its first pass."""


def test_a_place_of_another_copy_is_not_resumed() -> None:
    source, target = connect("memory://"), connect("memory://")
    other = source.with_namespace("other")
    source.activity_storage().add_many(make_activities(600)[100:])
    other.activity_storage().add_many(make_activities(100))

    def stop(_: CopyReport) -> None:
        raise _Stop

    def interrupt() -> None:
        with pytest.raises(_Stop):
            copy_store(source, target, progress=stop, overwrite=True)

    interrupt()
    report = copy_store(other, target, passes=["copy"], overwrite=True, resume=True)
    assert (report.is_resumed, report.activities) == (False, 100)
    interrupt()
    copy_store(source, target, passes=["copy"])
    interrupt()
    assert copy_store(source, target, resume=True).is_resumed


def test_a_comparison_alone_writes_nothing() -> None:
    """Any two stores can be compared. A copy into the second one is refused afterwards, as before."""
    source, target = connect("memory://"), connect("memory://")
    target.kv_storage().upsert("a", 1)
    assert copy_store(source, target, passes=["compare"]).differences.counts == {"too many items": 1}
    assert target.names().kv == ("default",)
    with pytest.raises(InvalidValueError, match="holds data"):
        copy_store(source, target)


def test_targets_that_a_copy_would_destroy(tmp_path: Path) -> None:
    source = connect("memory://")
    fill(source)
    writes: list[Callable[[Backend], Any]] = [
        lambda target: target.kv_storage("other").upsert("a", 1),
        lambda target: target.activity_storage(name="other").add(make_activity(1)),
        lambda target: target.timeline_storage().add("a", 1),
    ]
    for write in writes:
        target = connect("memory://")
        write(target)
        with pytest.raises(InvalidValueError, match="holds data"):
            copy_store(source, target)
        copy_store(source, target, overwrite=True)
        assert_equal(source, target)
    copy_store(source, target)
    other = source.with_namespace("other")
    with pytest.raises(InvalidValueError, match="holds a copy of"):
        copy_store(other, target)
    with pytest.raises(InvalidValueError, match="is the source"):
        copy_store(source, source.with_namespace(source.namespace), overwrite=True)
    url = f"sqlite:///{tmp_path / 'one.db'}"
    with connect(url) as one, connect(url) as two, pytest.raises(InvalidValueError, match="is the source"):
        copy_store(one, two, overwrite=True)
    with pytest.raises(InvalidValueError, match="no pass"):
        copy_store(source, target, passes=["third"])


def test_what_is_not_copied_is_said() -> None:
    source, target = connect("memory://"), connect("memory://")
    source.queue("mails").push(b"1")
    source.timeline_storage(name="a name").add("key", 1)
    report = copy_store(source, target)
    assert report.as_dict()["queues"] == ["mails"]
    assert report.hidden_collections
    named = copy_store(source, target, collections=["a name"])
    assert not named.hidden_collections
    assert target.timeline_storage(name="a name").contains("key", 1)


def test_own_collections_of_a_long_namespace_are_copied() -> None:
    """The store holds only hashes of the names of feedstore's own collections, which the copy knows."""
    source, target = connect("memory://", namespace="n" * 48), connect("memory://")
    manager = FeedManager(source, index_objects=True)
    manager.follow_user("bob", "ann")
    manager.add_user_activity("ann", Activity("ann", "like", "photo:7"), to=["user:cem"])
    BackendEventStore(source).save(Event("1", "ann", 5.0))
    erased = ErasureProgress(source, "eve", ("actor",))
    erased.add("default", [1])
    assert set(source.names(OWN_COLLECTIONS).collections) == {"default", *OWN_COLLECTIONS}
    report = copy_store(source, target)
    assert (report.hidden_collections, report.differences.total) == (False, 0)
    assert set(target.names().collections) == {"default", *OWN_COLLECTIONS}
    for name in OWN_COLLECTIONS:
        here, there = (one.timeline_storage(EntrySerializer, name=name) for one in (source, target))
        assert [(key, there.get_slice(key, 0, 9)) for key in here.keys()] == [  # noqa: SIM118
            (key, here.get_slice(key, 0, 9))
            for key in here.keys()  # noqa: SIM118
        ]
    source.timeline_storage(name="others").add("key", 1)
    assert copy_store(source, target, collections=["posts"]).hidden_collections


def test_events_are_copied_with_their_places() -> None:
    """The place of an event leads from its id to it."""
    source, target = connect("memory://"), connect("memory://")
    BackendEventStore(source).save_many([Event(str(number), "ann", 5.0 + number) for number in range(3)])
    assert not copy_store(source, target).hidden_collections
    events = BackendEventStore(target)
    events.save(Event("1", "ann", 9.0))
    assert [(one.id, one.timestamp) for one in events.search(0)] == [("0", 5.0), ("2", 7.0), ("1", 9.0)]
    assert events.get("2").timestamp == 7.0


@pytest.fixture
def stores(tmp_path: Path) -> tuple[str, str]:
    source, target = (f"sqlite:///{tmp_path / name}.db" for name in ("source", "target"))
    with connect(source) as backend:
        fill(backend)
    return source, target


def test_the_command(stores: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["copy", *stores, "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "activities  33\n" in out
    assert "nothing was copied" in out
    assert not (tmp_path / "target.db").exists()
    assert main(["copy", *stores, "--progress", "plain"]) == 0
    assert "differences none" in capsys.readouterr().out
    with connect(stores[0]) as source:
        source.timeline_storage().add("late", 7)
    assert main(["copy", *stores, "--pass", "compare", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["differences"] == {"missing entries": 1}
    assert found["examples"] == ["missing: the entry 00000000-0000-0000-0000-000000000007 of 'late'"]
    assert main(["copy", *stores, "--pass", "catch-up", "--pass", "compare"]) == 0
    assert "1 missing entries" in capsys.readouterr().out
    assert main(["copy", stores[0], stores[0]]) == 2
    assert main(["copy", f"sqlite:///{tmp_path / 'absent.db'}", stores[1]]) == 1


def test_stored_bytes_are_kept_as_they_are() -> None:
    """A store may hold the bytes of any serializer, which the copy does not read."""
    source, target = connect("memory://"), connect("memory://")
    like = Activity("ann", "like", "photo:7")
    source.activity_storage().add_to_storage({like.id: b"\x99of another program"})
    copy_store(source, target)
    assert target.activity_storage().get_from_storage([like.id]) == {like.id: b"\x99of another program"}
