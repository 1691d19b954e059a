"""Damaged bytes outside the payloads: each is one error that names the damaged object (T14)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from zlib import crc32

import pytest

from feedstore.backends.cassandra import CassandraBackend
from feedstore.backends.cassandra.tables import ITEM_BUCKETS
from feedstore.errors import StoredDataError
from feedstore.serializers import MsgpackSerializer
from feedstore.storage import Backend, TimelineStorage
from feedstore.testing.samples import make_activity

pytestmark = pytest.mark.parametrize("backend_kind", ["cassandra"])

SLICE = 0


def payloads(backend: Backend) -> TimelineStorage:
    """Return timelines whose entries carry their activities."""
    return backend.timeline_storage(serializer_class=MsgpackSerializer)


TIMELINE = "INSERT INTO {}.feedstore_timelines (timeline, id, data) VALUES ('{}:key', {}, {})"
ITEM = "INSERT INTO {}.feedstore_items (namespace, name, bucket, key, data) VALUES ('{}', 'default', {}, {}, {})"
NAME = "INSERT INTO {}.feedstore_directory (namespace, kind, bucket, name) VALUES ('{}', '{}', 0, {})"
ACTIVITY = "INSERT INTO {}.feedstore_activities (namespace, slice, shard, id, data) VALUES ('{}', 0, {}, {}, {})"
LONG, SHORT, ID = "0x" + "78" * 20, "0x7878", "0x" + "00" * 15 + "02"

CASES: dict[str, tuple[str, tuple[object, ...], str, Callable[[Backend], Any]]] = {
    "slice": (TIMELINE, (LONG, "0x"), "'key'", lambda b: b.timeline_storage().get_slice("key", 0, None)),
    "merged page": (TIMELINE, (SHORT, "0x"), "'key'", lambda b: b.timeline_storage().get_merged_page(["a", "key"], 9)),
    "page": (TIMELINE, (SHORT, "0x"), "'key'", lambda b: b.timeline_storage().get_page("key", 10)),
    "slices": (TIMELINE, (LONG, "0x"), "'key'", lambda b: b.timeline_storage().get_many_slices(["key"], 0, None)),
    "trim": (TIMELINE, (LONG, "0x"), "'key'", lambda b: b.timeline_storage().trim("key", 0)),
    "payload": (TIMELINE, (LONG, "0x00"), "'key'", lambda b: payloads(b).get_slice("key", 0, None)),
    "no payload": (TIMELINE, (ID, "null"), "'key'", lambda b: payloads(b).get_slice("key", 0, None)),
    "names": (NAME, ("timelines", "0xb8b9"), "b8", lambda b: list(b.timeline_storage().keys())),
    "slices' names": (NAME, ("activities", "0xb8b9"), "b8", lambda b: list(b.activity_storage().iterate())),
    "activity's id": (ACTIVITY, (0, LONG, "0x00"), "xxx", lambda b: list(b.activity_storage().iterate())),
    "no activity": (ACTIVITY, (2, ID, "null"), "-000000000002", lambda b: b.activity_storage().get_many([2])),
    "no activities": (ACTIVITY, (2, ID, "null"), "-000000000002", lambda b: list(b.activity_storage().iterate())),
    "key": (ITEM, (0, "0xb8b9", "0x00"), "b8", lambda b: list(b.kv_storage().items())),
    "no value": (ITEM, (0, "0x6b", "null"), "'k'", lambda b: list(b.kv_storage().items())),
    "no one": (ITEM, (crc32(b"k") % ITEM_BUCKETS, "0x6b", "null"), "'k'", lambda b: b.kv_storage().fetch_one("k")),
    "no many": (ITEM, (crc32(b"k") % ITEM_BUCKETS, "0x6b", "null"), "'k'", lambda b: b.kv_storage().fetch_many(["k"])),
}


def run(backend: Backend, statement: str, *values: object) -> None:
    """Run a statement of the driver's in the backend's keyspace and namespace."""
    assert isinstance(backend, CassandraBackend)
    store = backend.session.store
    store.session().driver_session.execute(statement.format(f'"{store.keyspace}"', backend.namespace, *values))


@pytest.mark.parametrize("case", CASES)
def test_what_is_damaged_is_named(backend: Backend, case: str) -> None:
    backend.activity_storage().add(make_activity(id=1))
    statement, values, words, read = CASES[case]
    run(backend, statement, *values)
    with pytest.raises(StoredDataError, match=words):
        read(backend)


def test_the_mark_of_a_namespace_without_a_format(backend: Backend, store_url: str) -> None:
    run(backend, "INSERT INTO {}.feedstore_namespaces (namespace) VALUES ('{}')")
    with pytest.raises(StoredDataError, match=f"namespace '{backend.namespace}' is damaged"):
        backend.kv_storage().upsert("key", 1)


def test_a_flush_takes_damaged_names_away_and_ends(backend: Backend) -> None:
    """A flush removes any damage."""
    timelines, activities = backend.timeline_storage(), backend.activity_storage()
    timelines.add("key", 1)
    activities.add(make_activity(id=1))
    run(backend, NAME + " USING TIMESTAMP 1", "timelines", "0xb8b9")
    run(backend, NAME + " USING TIMESTAMP 1", "activities", "0xb8b9")
    timelines.flush()
    activities.flush()
    assert list(timelines.keys()) == []
    assert list(activities.iterate()) == []
