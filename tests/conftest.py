"""Fixtures of all tests: real servers, and a backend of each kind.

- ``backend``: a backend under a fresh namespace; the test runs once for each kind in the backend table (``stores.py``).
- ``open_backend(namespace=None)``: further ones on the same store, under a fresh or a given namespace; all get closed.
- ``shared_backend(namespace=None)``: a backend on the connections that the tests of a kind share. Connecting
  costs more than most tests, so a test opens its first backend this way unless it is about connections.
- ``backend_kind``: the kind's name. ``@pytest.mark.parametrize("backend_kind", ["sqlite"])`` chooses among them.
- ``store_url``: the URL of that store, None for memory. The store is shared with other tests: keep to fresh namespaces.
- ``postgresql_database``: the URL of an empty database of the test's own. ``postgresql_server`` is the server it is on.
- ``own_postgresql_server``: a server that the test may kill and start again.
- ``own_redis_server`` and ``own_redis_cluster``: the same for Redis.
- ``cassandra_keyspace``: the URL of an empty keyspace of the test's own. ``cassandra_server`` is the node it is on.
  ``flushing_cassandra`` is a node of the suite whose files can be measured: the same, unless a variable names another.
- Under ``pytest -n`` the workers share the session's servers, which the controller starts (``servers/shared.py``).
- ``cassandra_ring``: three nodes that the tests of a file share, and may kill. A test that needs all starts them first.
  ``cassandra_ring_url`` is the URL of a keyspace on it that those tests share, with three replicas.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import HealthCheck

import cassandra_programs
import redis_programs
import soak
from brief_reports import BriefReports
from feedstore import connect
from feedstore.storage import Backend
from postgresql_programs import URL_VARIABLE
from servers.cassandra import CassandraServer
from servers.cassandra_configuration import FAST, SHORT_LIVED
from servers.cassandra_flushing import FlushableCassandra, FlushingCassandraServer
from servers.cassandra_ring import OwnCassandraRing
from servers.postgresql import OwnPostgreSQLServer, PostgreSQLServer
from servers.redis import OwnRedisServer
from servers.redis_cluster import OwnRedisCluster
from servers.shared import SharedServers, Stoppable, shared_address
from stores import STORES, OpenBackend, Store, fresh_namespace

# benchmarks/ lies in the checkout and not in the wheel, and a process that a test starts finds the test's module as
# `tests.…`. The root comes last: before the installed packages, its feedstore would hide the one that is tested. A
# conftest.py of a folder that pytest was called with imports benchmarks before pytest is configured.
sys.path.append(str(Path(__file__).resolve().parents[1]))


def pytest_configure(config: pytest.Config) -> None:
    """Set up hypothesis before the collection, and let a worker of pytest-xdist send fewer reports."""
    if hasattr(config, "workerinput"):
        config.pluginmanager.register(BriefReports())
    # No machine is too slow; the suite draws the same examples each time, and `make soak` searches on.
    slow_is_no_error = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
    examples = soak.count(50, 2000)
    hypothesis.settings.register_profile(
        "feedstore",
        deadline=None,
        max_examples=examples,
        derandomize=not soak.SOAK,
        suppress_health_check=slow_is_no_error,
        print_blob=True,
    )
    hypothesis.settings.load_profile("feedstore")


LONG_FILES = (
    "ingest/test_kills.py",
    "backends/cassandra/test_ring_faults.py",
    "conformance/test_postgresql.py",
    "conformance/test_cassandra.py",
    "live/test_processes.py",
    "benchmarks/test_sides.py",
    "channels/test_contract.py",
    "conformance/test_sqlite.py",
    "property/test_oracle.py",
    "browser/test_live_page.py",
    "browser/test_serve.py",
    "conformance/test_suite_bites.py",
)
"""The files that run longest, in the order in which they begin."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the long files.

    The workers of pytest-xdist take whole files. A long one that began last would leave the other workers without work.
    """
    here = Path(__file__).resolve().parent
    places = {here / name: place for place, name in enumerate(LONG_FILES)}
    missing = [str(path) for path in places if not path.exists()]
    if missing:
        raise pytest.UsageError(f"LONG_FILES in conftest.py names {', '.join(missing)}; no such files are there")
    items.sort(key=lambda item: places.get(item.path, len(places)))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep the garbage collector away from the collected tests.

    The ten thousand items live as long as the process. The collector took a seventh of the time of their collection,
    and would go through all of them again in every full pass. A process that a test forks would copy all of them in its
    first pass, which takes a second.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


_SHARED = pytest.StashKey[SharedServers]()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Send the addresses of the session's servers to a worker of pytest-xdist."""
    if _SHARED not in node.config.stash:
        node.config.stash[_SHARED] = SharedServers(
            {
                "postgresql": _start_postgresql,
                "redis": _start_redis,
                "redis_cluster": _start_redis_cluster,
                "cassandra": _start_cassandra,
            }
        )
    node.workerinput["servers"] = str(node.config.stash[_SHARED].folder)


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the servers that the workers shared."""
    if _SHARED in config.stash:
        config.stash[_SHARED].stop()


def _start_postgresql() -> tuple[Stoppable, str]:
    server = OwnPostgreSQLServer(in_memory=True)
    return server, server.url("postgres")


def _start_redis() -> tuple[Stoppable, str]:
    server = OwnRedisServer()
    return server, server.url


def _start_redis_cluster() -> tuple[Stoppable, str]:
    cluster = OwnRedisCluster()
    cluster.settle()
    return cluster, cluster.url


def _start_cassandra() -> tuple[Stoppable, Any]:
    server = FlushingCassandraServer((*FAST, *SHORT_LIVED))
    return server, server.node_address()


def _given(config: pytest.Config, kind: str, variable: str) -> str | None:
    """The address of a server that this process need not start: a variable names it, or workers share it."""
    return os.environ.get(variable) or _shared(config, kind)


def _shared(config: pytest.Config, kind: str) -> Any:
    """The address of the server that the workers share, or None if this process is no worker."""
    return shared_address(Path(config.workerinput["servers"]), kind) if hasattr(config, "workerinput") else None


@pytest.fixture(params=STORES)
def backend_kind(request: pytest.FixtureRequest) -> str:
    """The name of each kind in the backend table."""
    kind: str = request.param
    return kind


@pytest.fixture
def store(backend_kind: str, request: pytest.FixtureRequest) -> Iterator[Store]:
    """A store of the kind. Its backends are closed at the end."""
    store = STORES[backend_kind](request)
    yield store
    store.close()


@pytest.fixture
def store_url(store: Store) -> str | None:
    """The URL of the store; None for memory."""
    return store.url


@pytest.fixture
def open_backend(store: Store) -> OpenBackend:
    """A callable that opens a backend on the store."""

    def open_backend(namespace: str | None = None) -> Backend:
        return store.open(fresh_namespace() if namespace is None else namespace)

    return open_backend


@pytest.fixture
def backend(open_backend: OpenBackend) -> Backend:
    """A backend under a fresh namespace."""
    return open_backend()


@pytest.fixture(scope="session")
def connected_backends() -> Iterator[dict[str, Backend]]:
    """For each kind, the backend whose connections the session's tests share."""
    backends: dict[str, Backend] = {}
    yield backends
    for backend in backends.values():
        backend.close()


@pytest.fixture
def shared_backend(backend_kind: str, store_url: str | None, connected_backends: dict[str, Backend]) -> OpenBackend:
    """A callable that returns a backend on the connections which the session's tests share."""

    def shared_backend(namespace: str | None = None) -> Backend:
        connected = connected_backends.get(backend_kind)
        if connected is None or connected.closed:
            # A test may have closed it.
            connected = connected_backends[backend_kind] = connect(store_url or "memory://")
        return connected.with_namespace(fresh_namespace() if namespace is None else namespace)

    return shared_backend


@pytest.fixture(scope="session")
def sqlite_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a SQLite file that the session shares."""
    return f"sqlite:///{tmp_path_factory.mktemp('sqlite') / 'shared.db'}"


@pytest.fixture(scope="session")
def postgresql_server(pytestconfig: pytest.Config) -> Iterator[PostgreSQLServer]:
    """The session's PostgreSQL server: one of its own, or the one that FEEDSTORE_TEST_POSTGRESQL names."""
    url = _given(pytestconfig, "postgresql", URL_VARIABLE)
    server = PostgreSQLServer(url) if url else OwnPostgreSQLServer(in_memory=True)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def postgresql_url(postgresql_server: PostgreSQLServer) -> Iterator[str]:
    """The URL of a PostgreSQL database that the session shares."""
    yield from _database(postgresql_server)


@pytest.fixture
def postgresql_database(postgresql_server: PostgreSQLServer) -> Iterator[str]:
    """The URL of an empty PostgreSQL database of the test's own."""
    yield from _database(postgresql_server)


@pytest.fixture
def own_postgresql_server() -> Iterator[OwnPostgreSQLServer]:
    """A PostgreSQL server of the test's own, which keeps committed data if it is killed."""
    server = OwnPostgreSQLServer(settings=())
    yield server
    server.stop()


def _database(server: PostgreSQLServer) -> Iterator[str]:
    name = server.create_database()
    yield server.url(name)
    server.drop_database(name)


@pytest.fixture(scope="session")
def redis_url(pytestconfig: pytest.Config) -> Iterator[str]:
    """The URL of the session's Redis server: one of its own, or the one that FEEDSTORE_TEST_REDIS names."""
    url = _given(pytestconfig, "redis", redis_programs.URL_VARIABLE)
    if url:
        yield url
        return
    server = OwnRedisServer()
    yield server.url
    server.stop()


@pytest.fixture(scope="session")
def redis_cluster_url(pytestconfig: pytest.Config) -> Iterator[str]:
    """The URL of the session's Redis Cluster: one of its own, or the one that FEEDSTORE_TEST_REDIS_CLUSTER names."""
    url = _given(pytestconfig, "redis_cluster", redis_programs.CLUSTER_URL_VARIABLE)
    if url:
        yield url
        return
    cluster = OwnRedisCluster()
    cluster.settle()
    yield cluster.url
    cluster.stop()


@pytest.fixture
def own_redis_server() -> Iterator[OwnRedisServer]:
    """A Redis server of the test's own, which keeps acknowledged writes if it is killed."""
    server = OwnRedisServer(lasting=True)
    yield server
    server.stop()


@pytest.fixture
def own_redis_cluster() -> Iterator[OwnRedisCluster]:
    """A Redis Cluster of the test's own, whose servers it may kill."""
    cluster = OwnRedisCluster()
    yield cluster
    cluster.stop()


@pytest.fixture(scope="session")
def cassandra_server(request: pytest.FixtureRequest) -> Iterator[CassandraServer]:
    """The session's Cassandra: a node of its own, or the cluster that FEEDSTORE_TEST_CASSANDRA leads to."""
    address = os.environ.get(cassandra_programs.ADDRESS_VARIABLE)
    if address:
        yield CassandraServer.at(address)
    else:
        yield request.getfixturevalue("flushing_cassandra")


@pytest.fixture(scope="session")
def flushing_cassandra(pytestconfig: pytest.Config) -> Iterator[FlushableCassandra | FlushingCassandraServer]:
    """A Cassandra node of the session whose files can be measured."""
    address = _shared(pytestconfig, "cassandra")
    server = FlushableCassandra(address) if address else FlushingCassandraServer((*FAST, *SHORT_LIVED))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def cassandra_url(cassandra_server: CassandraServer) -> Iterator[str]:
    """The URL of a Cassandra keyspace that the session shares."""
    yield from _keyspace(cassandra_server)


@pytest.fixture
def cassandra_keyspace(cassandra_server: CassandraServer) -> Iterator[str]:
    """The URL of an empty Cassandra keyspace of the test's own."""
    yield from _keyspace(cassandra_server)


@pytest.fixture(scope="module")
def cassandra_ring() -> Iterator[OwnCassandraRing]:
    """A Cassandra ring, whose nodes may be killed."""
    ring = OwnCassandraRing()
    yield ring
    ring.stop()


@pytest.fixture(scope="module")
def cassandra_ring_url(cassandra_ring: OwnCassandraRing) -> str:
    """The URL of a keyspace with a replica of each row on every node of the ring."""
    return cassandra_ring.url(cassandra_ring.create_keyspace(len(cassandra_ring.nodes)))


def _keyspace(server: CassandraServer) -> Iterator[str]:
    name = server.create_keyspace()
    yield server.url(name)
    # A node of the suite ends with the session. To drop a keyspace costs the node more than to create one.
    if os.environ.get(cassandra_programs.ADDRESS_VARIABLE):
        server.drop_keyspace(name)
