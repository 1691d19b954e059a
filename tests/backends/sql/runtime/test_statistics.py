"""PostgreSQL's planner believes its statistics, and a new namespace is in none of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from feedstore import Activity
from feedstore.backends.sql import SqlBackend
from feedstore.serializers import JsonSerializer
from feedstore.testing.samples import make_activities, with_id

ACTIVITIES: list[Activity] = make_activities(2_000)
KEYS = [f"key{number}" for number in range(500)]
_READ = "SELECT sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0))::bigint FROM pg_stat_xact_user_tables"


@pytest.fixture
def backend(database_url: str) -> Iterator[SqlBackend]:
    """A namespace that is filled after others were, and after those were analyzed."""
    with SqlBackend(database_url) as backend:
        for number in range(20):
            old = backend.with_namespace(f"old{number}")
            old.activity_storage().add_many(ACTIVITIES[:500])
            old.timeline_storage().add_to_many(KEYS[:100], ACTIVITIES[:5])
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute("ANALYZE")
            for table in ("activity", "timeline", "entry"):
                connection.execute(f"ALTER TABLE feedstore_{table} SET (autovacuum_enabled = false)".encode())
        backend.activity_storage().add_many(ACTIVITIES)
        timelines = backend.timeline_storage()
        timelines.add_to_many(KEYS, ACTIVITIES[:3])
        timelines.add_many("long", ACTIVITIES)
        yield backend


def _calls(backend: SqlBackend) -> dict[str, Callable[[], Any]]:
    activities, timelines = backend.activity_storage(), backend.timeline_storage()
    payloads = backend.timeline_storage(serializer_class=JsonSerializer)
    changed = [with_id(one.id, "changed") for one in ACTIVITIES[:20]]
    return {
        "get": lambda: activities.get(ACTIVITIES[7]),
        "get many": lambda: activities.get_many(ACTIVITIES[:20]),
        "replace": lambda: activities.add_many(changed),
        "remove": lambda: activities.remove(ACTIVITIES[30]),
        "remove many": lambda: activities.remove_many(ACTIVITIES[40:60]),
        "slice": lambda: timelines.get_slice("long", 0, 25),
        "slices": lambda: timelines.get_many_slices(KEYS[:20], 0, 2),
        "page": lambda: timelines.get_page("long", 25),
        "hydrated": lambda: timelines.get_slice("long", 0, 25, hydrate_from=activities),
        "contains": lambda: timelines.contains("long", ACTIVITIES[7]),
        "fan out": lambda: timelines.add_to_many(KEYS[:20], ACTIVITIES[5:6], max_length=3),
        "new timelines": lambda: timelines.add_to_many([f"new{number}" for number in range(20)], [1]),
        "payloads": lambda: payloads.add_many("long", ACTIVITIES[100:120]),
        "references": lambda: timelines.add_many("long", ACTIVITIES[100:120]),
        "take out": lambda: timelines.remove_many("long", ACTIVITIES[100:120]),
        "take out of many": lambda: timelines.remove_from_many(KEYS[:20], ACTIVITIES[:1]),
        "trim": lambda: timelines.trim("long", 1_950),
        "delete": lambda: timelines.delete(KEYS[100]),
    }


@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_no_call_reads_the_whole_namespace(backend: SqlBackend) -> None:
    """Seen: the removal of one activity among 20,000 read 400 million rows."""
    read = {}

    def count(connection: Any, call: Callable[[], Any]) -> int:
        before = connection.execute(_READ).fetchone()[0]
        call()
        rows: int = connection.execute(_READ).fetchone()[0] - before
        return rows

    for name, call in _calls(backend).items():
        read[name] = backend.session.store.write(count, call)
    assert {name: rows for name, rows in read.items() if rows > 200} == {}
    assert read["slice"] + read["get many"] > 0
