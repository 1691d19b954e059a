"""The directory of timelines and of slices: complete in spite of concurrent flushes, and without unused names."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import pytest

from feedstore.backends.cassandra import CassandraBackend
from feedstore.backends.cassandra.batches import Write
from feedstore.backends.cassandra.directory import Directory
from feedstore.backends.cassandra.memory import LEASE_SECONDS, Leases
from feedstore.backends.cassandra.session import FORMAT
from feedstore.backends.cassandra.tables import SCHEMA, SLICE_SHIFT, TIMELINES
from feedstore.errors import MissingSchemaError, StorageError
from feedstore.storage import Backend
from feedstore.testing.processes import Child
from feedstore.testing.samples import make_activity
from stores import OpenBackend

MICROSECONDS = 1_000_000


def test_a_lease_ends_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    leases, names = Leases(), [b"a", b"b"]
    assert leases.lapsed("app", "kind", names) == names
    leases.renew("app", "kind", names[:1], began=1_000.0)
    for moment, lapsed in ((1_000.0, [b"b"]), (1_000.0 + LEASE_SECONDS - 1, [b"b"]), (1_000.0 + LEASE_SECONDS, names)):
        monkeypatch.setattr(time, "monotonic", lambda moment=moment: moment)
        assert leases.lapsed("app", "kind", names) == lapsed
    assert leases.lapsed("app", "other", names) == leases.lapsed("other", "kind", names) == names


def names(backend: Backend) -> list[bytes]:
    """Return the names in the directory of timelines."""
    assert isinstance(backend, CassandraBackend)
    return [name for some in Directory(backend.session.store, backend.namespace, "timelines").names() for name in some]


@pytest.mark.parametrize("backend_kind", ["cassandra"])
def test_what_is_added_after_another_s_flush_is_found(open_backend: OpenBackend) -> None:
    """A process with a lease on a name does not write it again, so a flush must leave it."""
    first = open_backend()
    second = open_backend(first.namespace)
    first.timeline_storage().add("key", 1)
    first.activity_storage().add(make_activity())
    second.timeline_storage().flush()
    second.activity_storage().flush()
    first.timeline_storage().add("key", 2)
    first.activity_storage().add(make_activity(1))
    assert list(second.timeline_storage().keys()) == ["key"]
    assert list(second.activity_storage().iterate()) == [make_activity(1)]
    second.timeline_storage().flush()
    assert first.timeline_storage().count("key") == 0


def add_long_ago(backend: Backend, keys: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Add to timelines before all leases of today."""
    assert isinstance(backend, CassandraBackend)
    clock = backend.session.store.clock
    now = clock.next
    long_ago = int((2 * LEASE_SECONDS + 60) * MICROSECONDS)
    monkeypatch.setattr(clock, "next", lambda: now() - long_ago)
    backend.timeline_storage().add_to_many(keys, [1])
    monkeypatch.setattr(clock, "next", now)


@pytest.mark.parametrize("backend_kind", ["cassandra"])
@pytest.mark.parametrize("is_batch", [False, True])
def test_a_flush_removes_names_without_a_lease(
    backend: Backend, monkeypatch: pytest.MonkeyPatch, is_batch: bool
) -> None:
    timelines = backend.timeline_storage()
    add_long_ago(backend, ["old", "older"], monkeypatch)
    timelines.add("new", 1)
    if is_batch:
        with backend.batch() as batch:
            timelines.flush(batch_interface=batch)
    else:
        timelines.flush()
    assert names(backend) == [b"new"]
    assert list(timelines.keys()) == []


@pytest.mark.parametrize("backend_kind", ["cassandra"])
def test_an_atomic_flush_that_fails_leaves_every_name(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(backend, CassandraBackend)
    timelines = backend.timeline_storage()
    keys = [f"key{number}" for number in range(20)]
    add_long_ago(backend, keys, monkeypatch)

    def flush() -> None:
        with backend.batch(atomic=True) as batch:
            timelines.flush(batch_interface=batch)

    def fail(writes: list[Write]) -> None:
        raise StorageError("no answer")

    with monkeypatch.context() as patch:
        patch.setattr(backend.session.store, "write_atomically", fail)
        with pytest.raises(StorageError, match="no answer"):
            flush()
    assert set(timelines.keys()) == set(keys)
    flush()
    assert list(timelines.keys()) == []


@pytest.mark.parametrize("backend_kind", ["cassandra"])
def test_a_flush_in_a_batch_that_fails_leaves_the_names(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names that are still there are found, and the next flush removes them."""
    assert isinstance(backend, CassandraBackend)
    timelines, store = backend.timeline_storage(), backend.session.store
    add_long_ago(backend, ["old"], monkeypatch)
    write_now = store.write_now

    def fail(writes: Iterable[Write]) -> None:
        given = list(writes)
        if any(statement == store.statements.remove_up_to for write in given for statement, _ in write.rows):
            raise StorageError("no answer")
        write_now(given)

    monkeypatch.setattr(store, "write_now", fail)
    with pytest.raises(StorageError, match="no answer"), backend.batch() as batch:
        timelines.flush(batch_interface=batch)
    monkeypatch.setattr(store, "write_now", write_now)
    assert list(timelines.keys()) == ["old"]
    timelines.flush()
    assert list(timelines.keys()) == []


@pytest.mark.parametrize("backend_kind", ["cassandra"])
def test_names_that_are_nothing_any_more_are_left_out(backend: Backend) -> None:
    timelines = backend.timeline_storage()
    timelines.add_to_many([f"key{number}" for number in range(100)], [1])
    timelines.add_many("trimmed", range(5))
    timelines.trim("trimmed", 0)
    for number in range(99):
        timelines.delete(f"key{number}") if number % 2 else timelines.remove(f"key{number}", 1)
    assert list(timelines.keys()) == ["key99"]
    assert len(names(backend)) == 101


@pytest.mark.parametrize("backend_kind", ["cassandra"])
def test_activities_of_many_slices_come_in_order(backend: Backend) -> None:
    """From the first slice to the last possible one, with several activities in a slice, and from after any of them."""
    activities = backend.activity_storage()
    slices = [0, 1, 2, 255, 256, 65_536, 2**20, 2**27 - 1]
    ids = sorted((one << SLICE_SHIFT) + tail for one in slices for tail in (0, 1, 5, 2**SLICE_SHIFT - 1))
    activities.add_many([make_activity(id=one) for one in ids[::-1]])
    assert [activity.serialization_id for activity in activities.iterate()] == ids
    for position, one in enumerate(ids):
        assert [activity.serialization_id for activity in activities.iterate(after=one)] == ids[position + 1 :]
    activities.flush()
    assert list(activities.iterate()) == []


@pytest.mark.parametrize("backend_kind", ["cassandra"])
def test_a_process_that_adds_while_another_flushes_loses_no_name(open_backend: OpenBackend) -> None:
    backend = open_backend()

    def add() -> None:
        timelines = open_backend(backend.namespace).timeline_storage()
        for number in range(100):
            timelines.add_to_many([f"key{number % 10}", "every"], [number])

    child = Child(add)
    for _ in range(10):
        backend.timeline_storage().flush()
    child.result()
    timelines = backend.timeline_storage()
    timelines.add("every", 1_000)
    held = {key for key in [*(f"key{number}" for number in range(10)), "every"] if timelines.count(key)}
    assert set(timelines.keys()) == held
    timelines.flush()
    assert not any(timelines.count(key) for key in held)


def empty(backend: Backend, *tables: str) -> None:
    """Empty the tables that other processes have written to."""
    assert isinstance(backend, CassandraBackend)
    for table in tables:
        backend.session.store.session().driver_session.execute(
            f'TRUNCATE "{backend.session.store.keyspace}".feedstore_{table}'
        )


def add_in_a_batch(backend: Backend, keys: list[str], atomic: bool) -> None:
    with backend.batch(atomic) as batch:
        for key in keys:
            backend.timeline_storage().add(key, 1, batch_interface=batch)


WAYS: dict[str, Callable[[Backend, list[str]], object]] = {
    "one by one": lambda backend, keys: [backend.timeline_storage().add(key, 1) for key in keys],
    "fan-out": lambda backend, keys: backend.timeline_storage().add_to_many(keys, [1], max_length=5),
    "batch": lambda backend, keys: add_in_a_batch(backend, keys, atomic=False),
    "atomic batch": lambda backend, keys: add_in_a_batch(backend, keys, atomic=True),
}


@pytest.mark.parametrize("backend_kind", ["cassandra"])
def test_what_is_written_after_the_tables_were_emptied_is_listed(open_backend: OpenBackend) -> None:
    """A process holds leases on names that are no longer there, for every kind of write."""
    keys = [f"key{number}" for number in range(20)]
    backends = [open_backend() for _ in WAYS]
    for backend in backends:
        backend.timeline_storage().add_to_many(keys, [1])
        backend.activity_storage().add(make_activity())
    empty(backends[0], "timelines", "directory", "activities", "namespaces")
    for way, backend in zip(WAYS.values(), backends, strict=True):
        way(backend, keys)
        backend.activity_storage().add(make_activity(1))
        other = open_backend(backend.namespace)
        assert set(other.timeline_storage().keys()) == set(keys)
        assert list(other.activity_storage().iterate()) == [make_activity(1)]
        assert other.timeline_storage().count(keys[0]) == 1


@pytest.mark.parametrize("backend_kind", ["cassandra"])
def test_what_is_written_after_an_older_state_was_restored_is_listed(open_backend: OpenBackend) -> None:
    """The names that were there at the time of the copy are there; those that came after it are not."""
    backend = open_backend()
    assert isinstance(backend, CassandraBackend)
    timelines, session = backend.timeline_storage(), backend.session.store.session().driver_session
    old, new = [f"old{number}" for number in range(20)], [f"new{number}" for number in range(20)]
    timelines.add_to_many(old, [1])
    timelines.add_to_many(new, [1])
    for bucket in range(32):
        session.execute(
            f'DELETE FROM "{backend.session.store.keyspace}".feedstore_directory WHERE namespace = %s AND kind = %s '
            "AND bucket = %s AND name >= %s AND name < %s",
            (backend.namespace, "timelines", bucket, b"new", b"nex"),
        )
    assert set(timelines.keys()) == set(old)
    timelines.add_to_many([*old, *new[:5]], [2])
    assert set(timelines.keys()) == {*old, *new[:5]}


@pytest.mark.parametrize("backend_kind", ["cassandra"])
def test_the_mark_of_a_namespace_is_written_again_within_ten_minutes(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(backend, CassandraBackend)
    backend.kv_storage().upsert("key", 1)
    empty(backend, "namespaces")
    later = time.monotonic() + LEASE_SECONDS
    monkeypatch.setattr(time, "monotonic", lambda: later)
    backend.kv_storage().upsert("key", 2)
    rows = backend.session.store.fetch(backend.session.store.statements.select_format, [backend.namespace.encode()])
    assert rows == [(FORMAT,)]


def test_tables_that_were_dropped_and_made_again_are_used(cassandra_keyspace: str) -> None:
    """The statements that a process has prepared are prepared again where the servers have forgotten them.

    A backend makes the tables that are missing, as after a process that died while it made them.
    """
    with CassandraBackend(cassandra_keyspace) as backend:
        backend.timeline_storage().add("key", 1)
        session, keyspace = backend.session.store.session().driver_session, backend.session.store.keyspace
        session.execute(f'DROP TABLE "{keyspace}".{TIMELINES}')
        session.execute(f"DELETE FROM \"{keyspace}\".{SCHEMA} WHERE name = 'tables'")
        with pytest.raises(MissingSchemaError, match="missing"):
            backend.timeline_storage().add("key", 2)
        with CassandraBackend(cassandra_keyspace) as other:
            other.ping()
        backend.timeline_storage().add("key", 3)
        backend.timeline_storage().add_to_many([f"key{number}" for number in range(50)], [3])
        assert len(list(backend.timeline_storage().keys())) == 51
