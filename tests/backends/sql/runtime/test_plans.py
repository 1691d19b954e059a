"""The databases' plans of the statements: by index, without a sort, and without needless reads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from backends.sql.runtime.faulty import Fault
from feedstore import Activity
from feedstore.backends.sql import SqlBackend
from feedstore.backends.sql.postgresql.statements import load_statements
from feedstore.storage import Filter, TimelineStorage
from feedstore.testing.samples import make_activities

ACTIVITIES: list[Activity] = make_activities(3000)
# With fewer rows PostgreSQL plans each read again: it expects ten keys, whose read takes longer than a plan.
SOME_KEYS = ["long", *(f"key{number}" for number in range(15))]


@pytest.fixture
def filled(fault: Fault, database_url: str) -> Iterator[SqlBackend]:
    with SqlBackend(database_url) as backend:
        backend.activity_storage().add_many(ACTIVITIES)
        timelines = backend.timeline_storage()
        timelines.add_many("long", ACTIVITIES)
        timelines.add_to_many([f"key{number}" for number in range(1000)], ACTIVITIES[:3])
        with backend.batch() as batch:
            for number in range(2000):
                backend.kv_storage().upsert(f"{number}", number, batch_interface=batch)
        yield backend


def _calls(backend: SqlBackend) -> dict[str, Any]:
    timelines: TimelineStorage = backend.timeline_storage()
    activities, kv = backend.activity_storage(), backend.kv_storage()
    bounds: Filter = {"activity_id__lt": ACTIVITIES[2000]}
    oldest_first = ("activity_id",)
    return {
        "newest": lambda: timelines.get_slice("long", 0, 25),
        "oldest": lambda: timelines.get_slice("long", 0, 25, ordering_args=oldest_first),
        "filtered": lambda: timelines.get_slice("long", 0, 25, filter_kwargs=bounds),
        "hydrated": lambda: timelines.get_slice("long", 0, 25, hydrate_from=activities),
        "page": lambda: timelines.get_page("long", 25),
        "slices": lambda: timelines.get_many_slices(SOME_KEYS, 0, 25),
        "contains": lambda: timelines.contains("long", ACTIVITIES[7]),
        "count": lambda: timelines.count("long"),
        "activities": lambda: activities.get_many(ACTIVITIES[:50]),
        "prefix": lambda: list(kv.items("17")),
        "item": lambda: kv.fetch_one("100"),
        "items": lambda: kv.fetch_many(["100", "101"]),
        "many items": lambda: kv.fetch_many(map(str, range(256))),
    }


READS = ("newest", "oldest", "filtered", "hydrated", "page", "slices")


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_sqlite_searches_and_never_sorts(fault: Fault, filled: SqlBackend) -> None:
    for name, call in _calls(filled).items():
        fault.count(call)
        for statement in fault.statements:
            if not statement.startswith(("SELECT", "WITH")):
                continue
            parameters = (None,) * statement.count("?")
            plan = filled.session.store.fetch(f"EXPLAIN QUERY PLAN {statement}", parameters)
            for *_, detail in plan:
                assert "TEMP B-TREE" not in detail, (name, detail)
                # Parameters are read from end to end, and so is the one header that was looked up.
                is_given = "VIRTUAL TABLE" in detail or "CONSTANT ROW" in detail
                is_given = is_given or detail in ("SCAN wanted", "SCAN header")
                assert not detail.startswith("SCAN") or is_given, (name, detail)


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_writes_to_sqlite_search_too(fault: Fault, filled: SqlBackend) -> None:
    timelines = filled.timeline_storage()
    keys = [f"key{number}" for number in range(100)]
    writes = {
        "fan out": lambda: timelines.add_to_many(keys, ACTIVITIES[3:5], max_length=4),
        "remove": lambda: timelines.remove_from_many(keys, ACTIVITIES[3:5]),
        "trim": lambda: timelines.trim("long", 2000),
        "activities": lambda: filled.activity_storage().add_many(ACTIVITIES[:20]),
        "delete": lambda: timelines.delete("key8"),
        "flush items": filled.kv_storage().flush,
        "flush activities": filled.activity_storage().flush,
        "flush timelines": timelines.flush,
    }
    for name, call in writes.items():
        fault.count(call)
        for statement in fault.statements:
            if statement.startswith(("BEGIN", "COMMIT")):
                continue
            parameters = (None,) * statement.count("?")
            for *_, detail in filled.session.store.fetch(f"EXPLAIN QUERY PLAN {statement}", parameters):
                assert not detail.startswith("SCAN feedstore_"), (name, detail)
                # A flush that sorted the rest before each step would have quadratic cost.
                assert "TEMP B-TREE" not in detail or not name.startswith("flush"), (name, detail)


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)


@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_postgresql_reads_what_it_returns_and_of_entries_the_index_alone(
    fault: Fault, filled: SqlBackend, database_url: str
) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.cursor().execute("VACUUM (ANALYZE)")
    for name in READS:
        fault.count(_calls(filled)[name])
        ((text, parameters),) = fault.calls
        (((found,),),) = filled.session.store.fetch(f"EXPLAIN (ANALYZE, FORMAT JSON) {text}", parameters)
        nodes = [node for node in _nodes(found["Plan"]) if node.get("Relation Name") == "feedstore_entry"]
        assert [(name, node["Node Type"]) for node in nodes] == [(name, "Index Only Scan")]
        assert nodes[0]["Actual Rows"] <= 26


@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_postgresql_plans_a_read_once(fault: Fault, filled: SqlBackend) -> None:
    """Not at each call: the driver prepares a statement at its fifth use, and the server plans that five times more."""
    for name in READS:
        for _ in range(12):
            _calls(filled)[name]()
    rows = filled.session.store.fetch("SELECT statement, generic_plans FROM pg_prepared_statements", ())
    kept = {statement: count for statement, count in rows if "LIMIT" in statement}
    assert len(kept) == len(READS)
    assert min(kept.values()) > 0, kept


@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_postgresql_looks_each_key_up(fault: Fault, filled: SqlBackend) -> None:
    """Also before anything was analyzed, when its planner takes every storage for an empty one."""
    (count, text), *_ = filled.session.statements.items.fetch_many.items()
    parameters = (*[b"100"] * count, filled.namespace, b"default")
    (found,) = filled.session.store.fetch(f"EXPLAIN (FORMAT JSON) {text}", parameters)[0]
    (look_up,) = found[0]["Plan"]["Plans"]
    assert look_up["Node Type"] == "Index Scan"
    assert "key = " in look_up["Index Cond"]


@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_round_trips(fault: Fault, filled: SqlBackend) -> None:
    expected = dict.fromkeys(_calls(filled), 1)
    assert {name: fault.count(call) for name, call in _calls(filled).items()} == expected
    timelines = filled.timeline_storage()
    # Two of each are BEGIN and COMMIT.
    assert fault.count(lambda: timelines.add_many("long", [1, 2])) == 5
    keys = [f"key{number}" for number in range(1000)]
    assert fault.count(lambda: timelines.add_to_many(keys, [3], max_length=4)) == 5
    assert fault.count(lambda: timelines.add_to_many(keys, [4], max_length=4)) == 5
    assert fault.count(lambda: timelines.add_to_many(keys, range(10, 15), max_length=4)) == 6
    assert fault.count(lambda: timelines.remove_from_many(keys, [14])) == 5
    assert fault.count(lambda: filled.activity_storage().add_many(make_activities(500, first=5000))) == 3


@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_making_timelines_forgets_no_prepared_statement(fault: Fault, database_url: str) -> None:
    prepared = "SELECT count(*) FROM pg_prepared_statements WHERE strpos(statement, 'LIMIT') > 0"
    with SqlBackend(database_url) as backend:
        timelines = backend.timeline_storage()
        backend.session.namespace_to_write()
        for _ in range(7):
            timelines.get_slice("long", 0, 25)
        assert fault.count(lambda: timelines.add_to_many(["new", "newer"], [1])) == 8
        assert backend.session.store.fetch(prepared, ()) == [(1,)]


@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_a_flush_reads_its_own_namespace_alone(backend: SqlBackend) -> None:
    """Each hundred that is flushed is found by the index, without a look at the timelines of other namespaces."""
    for name in ("neighbour", backend.namespace):
        backend.with_namespace(name).timeline_storage().add_to_many([f"{number}" for number in range(5000)], [1])
    backend.session.store.write(lambda connection: connection.execute("ANALYZE feedstore_timeline"))
    statement = load_statements("timelines")["some_headers"]
    rows = backend.session.store.fetch(f"EXPLAIN ANALYZE {statement}", {"namespace": backend.namespace, "limit": 100})
    plan = "\n".join(row for (row,) in rows)
    assert "uq_feedstore_timeline_namespace_id_key" in plan, plan
    assert "Sort" not in plan, plan
    assert "Rows Removed" not in plan, plan
    backend.timeline_storage().flush()
    assert list(backend.timeline_storage().keys()) == []
    assert backend.with_namespace("neighbour").timeline_storage().count("7") == 1
