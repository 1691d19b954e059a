"""The ORM's classes and the storages see the same rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session, configure_mappers, joinedload, lazyload, selectinload, subqueryload

from feedstore import Activity, ActivityRef
from feedstore.backends.sql.mapping import ActivityRow, EntryRow, ItemRow, NamespaceRow, Row, TimelineRow
from feedstore.backends.sql.tables import metadata
from feedstore.storage import Backend
from feedstore.storage.kv import decode_value, encode_value

START = datetime(2026, 1, 1, tzinfo=timezone.utc)
LIKES = [Activity("ann", "like", f"photo:{number}", time=START + timedelta(days=number)) for number in range(4)]
STRATEGIES = [lazyload, selectinload, joinedload, subqueryload]


@pytest.fixture
def backend(backend: Backend) -> Backend:
    """The backend in a namespace that the tests name in their queries."""
    return backend.with_namespace("app")


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    """A Session on an engine of its own, as an application has one."""
    with Session(engine) as session:
        yield session


@pytest.fixture
def filled(backend: Backend) -> Backend:
    """The backend with a timeline of four entries, one without its activity, and the same in another namespace."""
    other = backend.with_namespace("other")
    for one in (backend, other):
        one.activity_storage().add_many(LIKES[1:])
        one.timeline_storage().add_many("feed:bob", LIKES)
    return backend


def test_every_table_is_mapped_on_the_same_metadata() -> None:
    configure_mappers()
    assert {mapper.local_table for mapper in Row.registry.mappers} == set(metadata.tables.values())
    assert Row.metadata is metadata


def test_a_session_sees_what_a_storage_wrote(backend: Backend, session: Session) -> None:
    activities, timelines = backend.activity_storage(), backend.timeline_storage()
    activities.add_many(LIKES)
    timelines.add_many("feed:zoë", LIKES)
    timelines.trim("feed:zoë", 3)
    backend.kv_storage("settings").upsert("colour", "blue")
    namespace = session.scalars(select(NamespaceRow)).one()
    assert namespace.name == "app"
    assert (
        activities.deserialize_activities((row.serialization_id, row.data) for row in namespace.activities)
        == LIKES[::-1]
    )
    [timeline] = namespace.timelines
    assert (timeline.key.decode(), timeline.length) == ("feed:zoë", 3)
    assert timeline.floor == timelines.get_page("feed:zoë", 1).floor
    assert [entry.serialization_id for entry in timeline.entries] == [like.serialization_id for like in LIKES[:0:-1]]
    [item] = namespace.items
    assert (item.name, item.key, decode_value("colour", item.value)) == (b"settings", b"colour", "blue")


def test_a_storage_sees_what_a_session_wrote(backend: Backend, session: Session) -> None:
    activities, settings = backend.activity_storage(), backend.kv_storage("settings")
    activities.add(LIKES[0])
    namespace = session.scalars(select(NamespaceRow)).one()
    for activity_id, data in activities.serialize_activities(LIKES[1:]).items():
        session.add(ActivityRow(namespace_id=namespace.id, activity_id=activity_id.to_bytes(16, "big"), data=data))
    session.add(
        ItemRow(namespace_id=namespace.id, name=b"settings", key=b"colour", value=encode_value("colour", "red"))
    )
    session.commit()
    assert list(activities.iterate()) == LIKES
    assert settings.fetch_one("colour") == "red"
    session.delete(session.scalars(select(ActivityRow).order_by(ActivityRow.activity_id)).first())
    session.scalars(select(ItemRow)).one().value = encode_value("colour", "green")
    session.commit()
    assert list(activities.iterate()) == LIKES[1:]
    assert settings.fetch_one("colour") == "green"


def test_a_timeline_written_whole_by_a_session_is_read_by_a_storage(backend: Backend, session: Session) -> None:
    timelines = backend.timeline_storage()
    timelines.add("feed:eve", LIKES[0])
    namespace = session.scalars(select(NamespaceRow)).one()
    timeline = TimelineRow(namespace_id=namespace.id, key=b"feed:bob", length=2)
    session.add(timeline)
    session.flush()
    for like in LIKES[:2]:
        session.add(EntryRow(timeline_id=timeline.id, activity_id=like.serialization_id.to_bytes(16, "big")))
    session.commit()
    assert timelines.get_slice("feed:bob", 0, None) == [ActivityRef(like.serialization_id) for like in LIKES[1::-1]]
    assert timelines.count("feed:bob") == 2


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_relationships_of_a_timeline_stay_in_its_namespace(
    filled: Backend, session: Session, strategy: Callable[..., Any]
) -> None:
    query = select(TimelineRow).options(
        strategy(TimelineRow.activities), strategy(TimelineRow.entries), strategy(TimelineRow.namespace)
    )
    timelines = session.scalars(query).unique().all()
    assert sorted(timeline.namespace.name for timeline in timelines) == ["app", "other"]
    for timeline in timelines:
        assert timeline.floor is None
        assert {activity.namespace_id for activity in timeline.activities} == {timeline.namespace_id}
        assert [row.serialization_id for row in timeline.activities] == [like.serialization_id for like in LIKES[:0:-1]]
        assert [row.serialization_id for row in timeline.entries] == [like.serialization_id for like in LIKES[::-1]]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_an_entry_finds_its_activity_or_none(filled: Backend, session: Session, strategy: Callable[..., Any]) -> None:
    entries = session.scalars(select(EntryRow).options(strategy(EntryRow.activity), strategy(EntryRow.timeline))).all()
    assert len(entries) == 8
    for entry in entries:
        if entry.serialization_id == LIKES[0].serialization_id:
            assert entry.activity is None
        else:
            assert entry.activity is not None
            assert entry.activity.serialization_id == entry.serialization_id
            assert entry.activity.namespace is entry.timeline.namespace


def test_a_join_along_a_relationship(filled: Backend, session: Session) -> None:
    query = select(NamespaceRow.name, ActivityRow.activity_id).join(NamespaceRow.timelines).join(TimelineRow.activities)
    found = sorted((name, int.from_bytes(activity_id, "big")) for name, activity_id in session.execute(query))
    assert found == sorted((name, like.serialization_id) for name in ("app", "other") for like in LIKES[1:])


def test_relationships_change_nothing(filled: Backend, session: Session) -> None:
    timeline = session.scalars(select(TimelineRow).join(TimelineRow.namespace).where(NamespaceRow.name == "app")).one()
    timeline.entries.clear()
    timeline.activities.clear()
    session.commit()
    assert filled.timeline_storage().count("feed:bob") == len(LIKES)
