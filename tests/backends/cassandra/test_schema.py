"""The opening of a keyspace: the tables that it creates, its checks and its refusals."""

from __future__ import annotations

import uuid
from functools import partial

import pytest

from feedstore import connect
from feedstore.backends.cassandra.session import FORMAT
from feedstore.backends.cassandra.tables import SCHEMA, TABLES, TIMELINES
from feedstore.errors import FeedstoreError, MissingSchemaError, NewerSchemaError, OutdatedSchemaError, SchemaError
from feedstore.testing.processes import Child
from servers.cassandra import CassandraServer
from stores import fresh_namespace

PROCESSES = 3


def tables(server: CassandraServer, keyspace: str) -> set[str]:
    """Return the names of the tables in a keyspace."""
    with server.session() as session:
        rows = session.execute("SELECT table_name FROM system_schema.tables WHERE keyspace_name = %s", (keyspace,))
        return {row.table_name for row in rows}


def name_of(url: str) -> str:
    """Return the keyspace in a URL."""
    return url.rpartition("/")[2]


def execute(server: CassandraServer, statement: str) -> None:
    """Carry a statement out."""
    with server.session() as session:
        session.execute(statement)


def test_each_mode_on_an_empty_keyspace(cassandra_server: CassandraServer, cassandra_keyspace: str) -> None:
    """The mode "migrate" makes the tables, "check" makes none, and "ignore" does not check for them either.

    Without a mode, a backend makes them: the other tests open empty keyspaces that way.
    """
    with connect(cassandra_keyspace, schema="check") as backend, pytest.raises(MissingSchemaError, match="migrate"):
        backend.ping()
    with connect(cassandra_keyspace, schema="ignore") as backend:
        backend.ping()
        with pytest.raises(MissingSchemaError, match="are missing"):
            backend.kv_storage().upsert("key", 1)
    assert tables(cassandra_server, name_of(cassandra_keyspace)) == set()
    with connect(cassandra_keyspace, schema="migrate") as backend:
        backend.ping()
    assert tables(cassandra_server, name_of(cassandra_keyspace)) == {table.name for table in TABLES}
    with connect(cassandra_keyspace, schema="check") as backend:
        backend.kv_storage().upsert("key", 1)


def test_a_keyspace_is_made_only_where_its_replication_is_known(cassandra_server: CassandraServer) -> None:
    name = f"feedstore_test_{uuid.uuid4().hex}"
    url = cassandra_server.url(name)
    try:
        with connect(url) as backend, pytest.raises(MissingSchemaError, match="replication=3"):
            backend.ping()
        with connect(url, schema="check", replication=1) as backend, pytest.raises(MissingSchemaError):
            backend.ping()
        with connect(f"{url}?replication=1") as backend:
            backend.timeline_storage().add("key", 1)
        with connect(url) as backend:
            backend.timeline_storage().add("key", 2)
    finally:
        cassandra_server.drop_keyspace(name)


def test_processes_that_open_at_once_do_not_collide(cassandra_server: CassandraServer) -> None:
    name = f"feedstore_test_{uuid.uuid4().hex}"
    url = cassandra_server.url(name)

    def work(number: int) -> int:
        with connect(url, replication=1) as backend:
            backend.timeline_storage().add("key", number)
            backend.activity_storage().flush()
            return number

    try:
        children = [Child(partial(work, number)) for number in range(PROCESSES)]
        assert [child.result() for child in children] == list(range(PROCESSES))
        with connect(url) as backend:
            assert backend.timeline_storage().count("key") == PROCESSES
    finally:
        cassandra_server.drop_keyspace(name)


def test_another_version_is_refused(cassandra_server: CassandraServer, cassandra_keyspace: str) -> None:
    with connect(cassandra_keyspace) as backend:
        backend.ping()
    refusals: list[tuple[int, type[FeedstoreError], str]] = [
        (2, NewerSchemaError, "version 2.*upgrade"),
        (0, SchemaError, "version 0"),
    ]
    for version, error, words in refusals:
        update = f"UPDATE {name_of(cassandra_keyspace)}.{SCHEMA} SET version = {version} WHERE name = 'tables'"
        execute(cassandra_server, update)
        for mode in (None, "migrate", "check"):
            with connect(cassandra_keyspace, schema=mode) as backend, pytest.raises(error, match=words):
                backend.ping()


def test_tables_of_somebody_else_are_refused(cassandra_server: CassandraServer, cassandra_keyspace: str) -> None:
    name = name_of(cassandra_keyspace)
    execute(cassandra_server, f"CREATE TABLE {name}.{TIMELINES} (key text PRIMARY KEY, ids blob)")
    with connect(cassandra_keyspace) as backend, pytest.raises(SchemaError, match=TIMELINES):
        backend.ping()
    assert tables(cassandra_server, name) == {TIMELINES}


def test_a_keyspace_dropped_under_the_backend_is_one_clear_error(
    cassandra_server: CassandraServer, cassandra_keyspace: str
) -> None:
    with connect(cassandra_keyspace) as backend:
        backend.timeline_storage().add("key", 1)
        cassandra_server.drop_keyspace(name_of(cassandra_keyspace))
        uses = (
            lambda: backend.timeline_storage().add("key", 2),
            lambda: backend.timeline_storage().add_to_many(["key", "other"], [2], max_length=5),
            lambda: backend.timeline_storage().get_slice("key", 0, 5),
            lambda: backend.timeline_storage().trim("key", 0),
            lambda: backend.kv_storage().upsert("key", 1),
            lambda: backend.kv_storage().fetch_one("key"),
            lambda: list(backend.activity_storage().iterate()),
        )
        for use in uses:
            with pytest.raises(MissingSchemaError, match=f"{name_of(cassandra_keyspace)}.* are missing"):
                use()


def test_a_namespace_of_another_format_is_refused(cassandra_server: CassandraServer, cassandra_url: str) -> None:
    table, namespace = f"{name_of(cassandra_url)}.feedstore_namespaces", fresh_namespace()
    with connect(cassandra_url, namespace=namespace) as backend:
        backend.kv_storage().upsert("key", 1)
    refusals: list[tuple[int, type[SchemaError], str]] = [
        (FORMAT - 1, OutdatedSchemaError, "another namespace"),
        (FORMAT + 1, NewerSchemaError, "upgrade"),
    ]
    for written, error, advice in refusals:
        execute(cassandra_server, f"UPDATE {table} SET format = {written} WHERE namespace = '{namespace}'")
        words = rf"'{namespace}'.*format {written}.*{advice}"
        with connect(cassandra_url, namespace=namespace) as backend:
            with pytest.raises(error, match=words):
                backend.kv_storage().upsert("key", 1)
            with pytest.raises(error, match=words):
                backend.timeline_storage().count("key")
            assert backend.with_namespace(f"{namespace}-other").timeline_storage().count("key") == 0
