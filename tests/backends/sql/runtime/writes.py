"""The writes that the tests of failures try, and the rows before each of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from feedstore import Activity
from feedstore.backends.sql import SqlBackend
from feedstore.serializers import MsgpackSerializer
from feedstore.testing.samples import make_activities

ACTIVITIES: list[Activity] = make_activities(30)
KEYS = [f"key{number}" for number in range(5)]
Write = Callable[[SqlBackend], Any]


def run_batch(backend: SqlBackend) -> list[Any]:
    """Write all kinds of rows in one batch."""
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
    "batch": run_batch,
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
    """Set the database to the initial rows of every test."""
    for storage in (backend.activity_storage(), backend.timeline_storage(), backend.kv_storage()):
        storage.flush()
    backend.activity_storage().add_many(ACTIVITIES[:10])
    backend.timeline_storage().add_to_many(KEYS, ACTIVITIES[:10], max_length=8)
    backend.kv_storage().upsert("key", 1)
    backend.kv_storage().upsert("old", 1)
