"""A failure at the k-th statement, for every k: nothing of the call stays, no lock stays, and the next call works."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import psycopg
import pytest

from backends.sql.runtime.faulty import Fault, dump, install
from feedstore import Activity
from feedstore.backends.sql import SqlBackend
from feedstore.errors import StorageError, StorageUnavailableError
from feedstore.serializers import MsgpackSerializer
from feedstore.testing.samples import make_activities

ACTIVITIES: list[Activity] = make_activities(30)
KEYS = [f"key{number}" for number in range(5)]
Write = Callable[[SqlBackend], Any]


def _batch(backend: SqlBackend) -> list[Any]:
    activities, kv = backend.activity_storage(), backend.kv_storage()
    timelines = backend.timeline_storage(serializer_class=MsgpackSerializer)
    with backend.batch(atomic=True) as batch:
        activities.add_many(ACTIVITIES[5:15], batch_interface=batch)
        activities.remove_many(ACTIVITIES[:3], batch_interface=batch)
        timelines.add_to_many(KEYS, ACTIVITIES[8:14], max_length=7, batch_interface=batch)
        timelines.remove_from_many(KEYS[:2], ACTIVITIES[6:12], batch_interface=batch)
        timelines.trim(KEYS[3], 2, batch_interface=batch)
        timelines.delete(KEYS[4], batch_interface=batch)
        timelines.add("new", ACTIVITIES[0], batch_interface=batch)
        kv.upsert("key", 2, batch_interface=batch)
        kv.delete("old", batch_interface=batch)
    return batch.results


WRITES: dict[str, Write] = {
    "batch": _batch,
    "add activities": lambda backend: backend.activity_storage().add_many(ACTIVITIES[5:25]),
    "remove activities": lambda backend: backend.activity_storage().remove_many(ACTIVITIES),
    "add entries": lambda backend: backend.timeline_storage().add_many(KEYS[0], ACTIVITIES[5:25]),
    "fan out": lambda backend: backend.timeline_storage().add_to_many(KEYS, ACTIVITIES[9:12], max_length=9),
    "remove": lambda backend: backend.timeline_storage().remove_from_many(KEYS, ACTIVITIES[:4]),
    "trim": lambda backend: backend.timeline_storage().trim(KEYS[0], 3),
    "delete": lambda backend: backend.timeline_storage().delete(KEYS[0]),
    "flush activities": lambda backend: backend.activity_storage().flush(),
    "flush timelines": lambda backend: backend.timeline_storage().flush(),
    "flush items": lambda backend: backend.kv_storage().flush(),
    "upsert": lambda backend: backend.kv_storage().upsert("key", 3),
}


def fill(backend: SqlBackend) -> None:
    """Set the database to what every test begins with."""
    for storage in (backend.activity_storage(), backend.timeline_storage(), backend.kv_storage()):
        storage.flush()
    backend.activity_storage().add_many(ACTIVITIES[:10])
    backend.timeline_storage().add_to_many(KEYS, ACTIVITIES[:10], max_length=8)
    backend.kv_storage().upsert("key", 1)
    backend.kv_storage().upsert("old", 1)


@pytest.fixture
def fault(database_kind: str, monkeypatch: pytest.MonkeyPatch) -> Fault:
    fault = Fault()
    install(fault, monkeypatch, database_kind)
    return fault


@pytest.fixture
def filled(fault: Fault, database_url: str) -> Iterator[SqlBackend]:
    with SqlBackend(database_url) as backend:
        fill(backend)
        yield backend


def _input_output_error(kind: str) -> NoReturn:
    if kind == "sqlite":
        raise sqlite3.OperationalError("disk I/O error")
    raise psycopg.errors.IoError("could not extend file")


@pytest.mark.parametrize("name", WRITES)
def test_an_error_at_every_statement(
    name: str, fault: Fault, filled: SqlBackend, database_kind: str, other_backend: SqlBackend
) -> None:
    statements = fault.count(lambda: WRITES[name](filled))
    assert statements > 0
    fill(filled)
    before = dump(filled)
    for position in range(statements):
        with fault.at([position], lambda: _input_output_error(database_kind)), pytest.raises(StorageError) as caught:
            WRITES[name](filled)
        assert isinstance(caught.value.__cause__, (sqlite3.Error, psycopg.Error))
        assert dump(filled) == before
        # Nobody else waits for a lock that was left behind.
        other_backend.kv_storage("locks").upsert("key", position)
        other_backend.timeline_storage().trim(KEYS[1], 10**9)
        other_backend.kv_storage("locks").delete("key")
    WRITES[name](filled)
    assert dump(filled) != before


class Interrupt(BaseException):
    """Something that is no error, such as Ctrl-C."""


def _interrupt() -> NoReturn:
    raise Interrupt


def test_an_interrupt_at_every_statement(fault: Fault, filled: SqlBackend, other_backend: SqlBackend) -> None:
    statements = fault.count(lambda: _batch(filled))
    fill(filled)
    before = dump(filled)
    for position in range(statements):
        with fault.at([position], _interrupt), pytest.raises(Interrupt):
            _batch(filled)
        assert dump(filled) == before
        other_backend.kv_storage("locks").upsert("key", position)
        other_backend.kv_storage("locks").delete("key")


@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_a_connection_that_breaks_at_every_statement(
    fault: Fault, filled: SqlBackend, database_url: str, other_backend: SqlBackend
) -> None:
    statements = fault.count(lambda: _batch(filled))
    fill(filled)
    before = dump(filled)

    def break_connections() -> None:
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.cursor().execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                "WHERE application_name = 'feedstore' AND datname = current_database()"
            )

    for position in range(statements):
        with fault.at([position], break_connections), pytest.raises(StorageUnavailableError):
            _batch(filled)
        assert dump(filled) == before
        other_backend.kv_storage("locks").upsert("key", position)
        other_backend.kv_storage("locks").delete("key")
    assert _batch(filled)


@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_a_read_whose_connection_is_lost_is_repeated(fault: Fault, filled: SqlBackend) -> None:
    def lose() -> NoReturn:
        raise psycopg.OperationalError("server closed the connection unexpectedly")

    with fault.at([0], lose):
        assert filled.timeline_storage().count(KEYS[0]) == 8
    with fault.at(range(10), lose), pytest.raises(StorageUnavailableError):
        filled.timeline_storage().count(KEYS[0])
    assert filled.timeline_storage().count(KEYS[0]) == 8
