"""The erasure and the export of the data of a person."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any, ClassVar
from unittest.mock import patch
from uuid import UUID

import pytest
import sqlalchemy

from feedstore import Activity, connect
from feedstore.backends.sql.session import SqlSession
from feedstore.errors import InvalidTypeError, InvalidValueError
from feedstore.events import BackendEventStore, Event
from feedstore.events.layout import EntrySerializer, IndexEntry
from feedstore.fanout import FeedManager, FollowGraph, QueueExecutor
from feedstore.fanout.jobs import Job, JobOperation
from feedstore.feeds import Feed, NotificationFeed
from feedstore.privacy import ErasureReport, Scope, erase_person, export_person, report_digest
from feedstore.privacy import parts as parts_module
from feedstore.privacy import progress as progress_module
from feedstore.privacy import relations as relations_module
from feedstore.privacy.progress import ErasureProgress
from feedstore.privacy.relations import without_person
from feedstore.privacy.scope import OWN_COLLECTIONS
from feedstore.serializers import MsgpackSerializer
from feedstore.storage import Backend
from stores import OpenBackend

NOON = datetime(2026, 5, 1, 12, tzinfo=timezone.utc)
PERSON = "annika"
"""A name that is part of no other value of the tests."""
ALL = ("actor", "object", "target")


class Bell(NotificationFeed):
    """Notifications."""


class Copies(Feed):
    """A feed of copies, whose activities are not in the activity storage."""

    key_format = "copies:{user_id}"
    serializer_class = MsgpackSerializer


class Manager(FeedManager):
    """The manager of an application."""

    target_feed_classes: ClassVar[Mapping[str, Any]] = {"bell": Bell}
    index_objects = True


LIKE = Activity(PERSON, "like", "photo:7", time=NOON)
GREETING = Activity("bob", "greet", PERSON, time=NOON)
GIFT = Activity("bob", "give", "flower", PERSON, time=NOON)
POST = Activity("bob", "post", "photo:8", time=NOON)


def fill(backend: Backend) -> Manager:
    """Fill a namespace with data of a person and of others, by a manager and by storages."""
    manager = Manager(backend)
    unique = backend.abilities.conditional_writes
    manager.follow_user("bob", PERSON)
    manager.follow_user("cem", "bob")
    manager.add_user_activity(PERSON, LIKE, to=["bell:bob"], unique=unique)
    manager.add_user_activity("bob", GREETING, to=[f"bell:{PERSON}"], unique=unique)
    manager.add_user_activity("bob", GIFT)
    manager.add_user_activity("bob", POST, to=[f"user:{PERSON}", "bell:cem"], unique=unique)
    manager.follow_user(PERSON, "bob")
    graph = FollowGraph(backend)
    graph.unfollow("cem", PERSON)
    graph.mute(PERSON, "eve")
    graph.block("fay", PERSON)
    graph.follow("dan", "bob")
    backend.timeline_storage(name="others").add_many("list:1", [LIKE, POST])
    copies = Copies("bob", backend)
    copies.add_many([Activity(PERSON, "like", "photo:9", time=NOON), POST])
    events = BackendEventStore(backend)
    events.save_many([Event("1", PERSON, 5.0), Event("2", "bob", 5.0), Event("3", PERSON, 90_000.0)])
    manager.dead_letters.add(_job(users=(PERSON, "bob"), activities=(POST.id,)), ValueError("failed"), 5)
    manager.dead_letters.add(_job(followers_of=PERSON, activities=(LIKE.id,)), ValueError("failed"), 5)
    return manager


def _job(operation: JobOperation = JobOperation.ADD, **fields: Any) -> dict[str, Any]:
    return Job(operation=operation, manager="fanout", feeds=("normal",), **fields).to_dict()


def texts_in(backend: Backend) -> Iterator[str]:
    """Yield everything that a namespace holds, as reprs. It shares no code with the erasure."""
    names = backend.names([*OWN_COLLECTIONS, "others"])
    for name in names.collections:
        for one in backend.activity_storage(EntrySerializer, name=name).iterate():
            yield repr(one)
        timelines = backend.timeline_storage(EntrySerializer, name=name)
        for key in list(timelines.keys()):
            yield f"{name} {key} {timelines.get_slice(key, 0, None)!r}"
    for name in names.kv:
        for key, value in backend.kv_storage(name).items():
            yield f"{name} {key} {value!r}"


@pytest.mark.parametrize("backend_kind", ["memory", "sqlite", "postgresql", "redis", "redis_cluster", "cassandra"])
def test_nothing_of_a_person_remains(open_backend: OpenBackend) -> None:
    backend = open_backend()
    manager = fill(backend)
    scope = Scope(backend, managers=[manager])
    kinds = {one["record"] for one in export_person(PERSON, scope)}
    assert kinds >= {"activity", "entry", "mark", "relation", "publication", "dead letter", "event"}
    report = erase_person(PERSON, scope, roles=ALL, with_ids=True)
    assert report.is_verified, report.remaining
    assert [
        one for one in texts_in(backend) if any(name in one for name in (PERSON, f"{LIKE.id:032x}", str(LIKE.id)))
    ] == []
    assert list(export_person(PERSON, scope)) == []
    ids = {one for some in (report.activity_ids or {}).values() for one in some}
    assert ids == {str(UUID(int=one.id)) for one in (LIKE, GREETING, GIFT)}
    assert report.counts["activities"] == 3
    assert report.counts["events"] == 2
    assert [key for key in timeline_keys_of(backend) if PERSON in key] == []
    check_others(backend, manager)


def timeline_keys_of(backend: Backend) -> list[str]:
    """Return the keys of the timelines in the tables of a SQL store, also those of timelines without entries."""
    if not isinstance(backend.session, SqlSession):
        return []
    with backend.session.store.engine.connect() as connection:
        found = connection.execute(sqlalchemy.text("SELECT key FROM feedstore_timeline"))
        return [bytes(key).decode() for (key,) in found]


def check_others(backend: Backend, manager: Manager) -> None:
    """Check that the data of others is complete."""
    timelines = backend.timeline_storage()
    for key in ("user:bob", "home:cem", "notification:{cem}", "notification:{cem}:unseen"):
        assert [one.serialization_id for one in timelines.get_slice(key, 0, None)] == [POST.id], key
    others = backend.timeline_storage(name="others").get_slice("list:1", 0, None)
    assert others == [POST.reference]
    assert list(backend.activity_storage().iterate()) == [POST]
    assert Copies("bob", backend)[:] == [POST]
    assert list(FollowGraph(backend).all_followers("bob")) == ["dan", "cem"]
    assert [one.id for one in BackendEventStore(backend).search(0)] == ["2"]
    assert BackendEventStore(backend).sources() == ["bob"]
    assert [letter.job["users"] for letter in manager.dead_letters] == [["bob"]]
    if backend.abilities.conditional_writes:
        assert manager.retract("bob", "post", "photo:8")
        assert manager.get_user_feed("bob")[:] == []


def test_roles_are_chosen() -> None:
    backend = connect("memory://")
    backend.activity_storage().add_many([LIKE, GREETING, GIFT])
    for roles, kept in ((["object"], [LIKE, GIFT]), (["target"], [LIKE]), (["actor"], [])):
        report = erase_person(PERSON, backend, roles=roles)
        assert (report.counts, report.is_verified) == ({"activities": 1}, True)
        assert sorted(backend.activity_storage().iterate(), key=repr) == sorted(kept, key=repr)
    for wrong in ([], ["owner"]):
        with pytest.raises(InvalidValueError, match="at least one of actor, object, target"):
            erase_person(PERSON, backend, roles=wrong)
    backend.activity_storage().add(Activity(7, "like", "7", time=NOON))
    assert erase_person("None", backend, roles=ALL).counts == {}
    assert erase_person("7", backend, roles=["actor"]).counts == {"activities": 1}


def test_a_collection_with_the_name_of_the_event_store_is_searched() -> None:
    backend = connect("memory://")
    backend.activity_storage(name="events").add(LIKE)
    backend.timeline_storage(name="events").add("list:1", LIKE)
    assert erase_person(PERSON, backend, roles=ALL).counts == {"activities": 1, "entries": 1}
    assert list(backend.activity_storage(name="events").iterate()) == []


class Killed(BaseException):
    """The end of a process."""


def test_a_killed_erasure_is_finished_by_the_next_run() -> None:
    save = ErasureProgress.save
    kills = 0
    while True:
        backend = connect("memory://")
        scope = Scope(backend, managers=[fill(backend)])
        left = kills

        def dying(self: ErasureProgress) -> None:
            nonlocal left
            if left == 0:
                raise Killed
            left -= 1
            save(self)

        with patch.object(ErasureProgress, "save", dying):
            try:
                report = erase_person(PERSON, scope, roles=ALL)
                break
            except Killed:
                kills += 1
        if kills > 2:
            with pytest.raises(InvalidValueError, match="with the roles actor, object, target was interrupted"):
                erase_person(PERSON, scope, roles=["actor"])
        report = erase_person(PERSON, scope, roles=ALL, with_ids=True)
        assert (report.is_verified, report.runs) == (True, 2 if kills > 1 else 1)
        assert report.activity_ids is not None
        assert sum(map(len, report.activity_ids.values())) == 3
        assert [one for one in texts_in(backend) if PERSON in one] == []
    assert kills > 15
    assert report.is_verified


def test_an_erasure_keeps_few_ids_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (parts_module, progress_module):
        monkeypatch.setattr(module, "AT_ONCE", 3)
    monkeypatch.setattr(progress_module, "_MOST_IN_MEMORY", 2)
    backend = connect("memory://")
    mine = [Activity(PERSON, "post", number, time=NOON) for number in range(10)]
    theirs = [Activity("bob", "post", number, time=NOON) for number in range(10)]
    backend.activity_storage().add_many([*mine, *theirs])
    backend.timeline_storage().add_many("list:1", [*mine, *theirs])
    report = erase_person(PERSON, backend, roles=["actor"])
    assert (report.counts, report.is_verified) == ({"activities": 10, "entries": 10}, True)
    assert backend.timeline_storage().count("list:1") == 10


def test_data_that_is_written_during_an_erasure_is_reported_and_erased_by_the_next() -> None:
    backend = connect("memory://")
    backend.activity_storage().add(LIKE)

    def write(self: FollowGraph, user: Any) -> int:
        backend.activity_storage().add(GREETING)
        backend.timeline_storage().add("home:bob", LIKE)
        return 0

    with patch.object(FollowGraph, "remove_user", write):
        report = erase_person(PERSON, backend, roles=ALL)
    assert not report.is_verified
    assert (report.remaining["activities"], report.remaining["timelines"]) == (1, 1)
    assert erase_person(PERSON, backend, roles=ALL).is_verified
    assert list(backend.timeline_storage().keys()) == []


def test_hashed_names_of_known_collections_are_covered() -> None:
    """A store has only hashes of names in a long namespace. A scope knows feedstore's names and those of arguments."""
    backend = connect("memory://", namespace="n" * 48)
    fill(backend)
    hidden = "collections that were not passed, of whose names the store keeps only hashes"
    assert Scope(backend).not_covered == [hidden]
    storages = {"others": backend.activity_storage(name="others")}
    scope = Scope(backend, managers=[Manager(backend)], activities=storages)
    report = erase_person(PERSON, scope, roles=ALL)
    assert (report.is_verified, report.not_covered) == (True, [])
    others = backend.timeline_storage(name="others")
    assert [one.serialization_id for one in others.get_slice("list:1", 0, 9)] == [POST.id]
    assert [one for one in texts_in(backend) if PERSON in one] == []


def test_the_report_names_what_it_does_not_cover() -> None:
    backend = connect("memory://")
    backend.kv_storage("profiles").upsert(PERSON, 1)
    backend.queue("mails").push({"to": PERSON})
    BackendEventStore(backend).save(Event("1", "bob", 5.0))
    backend.activity_storage(EntrySerializer, name="strange").add(IndexEntry(7, b"?"))
    kept: list[ErasureReport] = []
    report = erase_person(PERSON, backend, roles=ALL, on_report=kept.append)
    assert kept == [report]
    assert report.not_covered == [
        "the key-value storage 'profiles'",
        "the queue 'mails'",
        "1 values of the collection 'strange' that its serializer cannot read",
    ]
    found = json.loads(json.dumps(report.to_dict()))
    assert found["digest"] == report_digest(found)
    assert report_digest({**found, "runs": 2}) != found["digest"]
    other = connect("memory://")
    with pytest.raises(InvalidValueError, match="has another backend"):
        Scope(backend, managers=[FeedManager(other)])
    with pytest.raises(InvalidTypeError, match="feed managers"):
        Scope(backend, managers=[backend])  # type: ignore[list-item]


def test_messages_of_queues_lose_the_person(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relations_module, "_HIDDEN_SECONDS", 0.2)
    backend = connect("memory://")
    executor = QueueExecutor(backend)
    manager = FeedManager(backend, executor=executor)
    mails = backend.queue("mails")
    mails.push_many([{"to": PERSON}, {"to": "bob"}])
    queue = executor.queues[next(iter(executor.queues))]
    jobs = [
        _job(users=(PERSON, "bob"), activities=(POST.id,)),
        _job(followers_of=PERSON, activities=(LIKE.id,)),
        _job(users=("bob",), activities=(POST.id,)),
        _job(JobOperation.COPY, users=(PERSON,), targets=("bob",)),
    ]
    queue.push_many(jobs)
    report = erase_person(PERSON, Scope(backend, managers=[manager], queues=[mails]), roles=ALL)
    assert (report.counts, report.not_covered) == ({"messages": 4}, [])
    assert (mails.count(), queue.count()) == (1, 2)
    assert queue.receive(5.0)[1]["users"] == ["bob"]


def test_a_walk_of_a_queue_ends_before_messages_become_visible_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look at the clock takes a second. The report counts the messages that were not read."""
    clock = itertools.count()
    monkeypatch.setattr(relations_module, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    for name, value in (("_HIDDEN_SECONDS", 2.5), ("_MESSAGES_AT_ONCE", 1)):
        monkeypatch.setattr(relations_module, name, value)
    backend = connect("memory://")
    mails = backend.queue("mails")
    mails.push_many([*({"number": number} for number in range(5)), {"to": PERSON}])
    report = erase_person(PERSON, Scope(backend, queues=[mails]), roles=ALL)
    text = "4 messages of queues that were not read: consumers held them, or they are damaged"
    assert (report.counts, report.not_covered) == ({}, [text])


def test_long_queues_are_read_to_their_end() -> None:
    backend = connect("memory://")
    mails = backend.queue("mails")
    mails.push_many([*({"number": number} for number in range(500)), {"to": PERSON}])
    assert [one["record"] for one in export_person(PERSON, Scope(backend, queues=[mails]))] == ["message"]


def test_a_message_without_a_person() -> None:
    job = _job(users=("bob", PERSON), followers_of="bob", skipped=(PERSON,))
    assert without_person(job, PERSON) == {**_job(users=("bob",), followers_of="bob"), "id": job["id"]}
    assert without_person(_job(users=("bob",), actor=PERSON), PERSON) is None
    assert without_person({"deep": [{"x": 7}, True]}, "7") is None
    assert without_person({"deep": [{"x": 7}, True]}, "True") == {"deep": [{"x": 7}, True]}


def test_a_relation_of_a_kind_of_its_own_needs_its_graph() -> None:
    backend = connect("memory://")
    watching = FollowGraph(backend, kinds=("watch",))
    watching.follow("bob", PERSON, kind="watch")
    FollowGraph(backend).follow("bob", PERSON)
    report = erase_person(PERSON, Scope(backend, graphs=[watching]), roles=ALL)
    assert report.counts == {"relations": 2}
    assert [one for one in texts_in(backend) if PERSON in one] == []
