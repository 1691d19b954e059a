"""Given sessions, sessions that are opened here, and the effects of a fork on both."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cassandra.cluster import Cluster, NoHostAvailable, Session
from cassandra.connection import ConnectionShutdown
from cassandra.policies import RetryPolicy, WhiteListRoundRobinPolicy

import forking
from feedstore import connect
from feedstore.backends.cassandra import CassandraBackend, store
from feedstore.errors import BackendClosedError, ForkedClientError, StorageUnavailableError
from feedstore.testing.processes import run_in_child, run_in_threads
from feedstore.testing.samples import ids_of
from servers.cassandra import CassandraServer
from stores import fresh_namespace

NO_EVENT_LOOP = """
import sys
for name in ("cassandra.io.libevwrapper", "asyncore"):
    sys.modules[name] = None
from feedstore import connect
from feedstore.errors import MissingDriverError
try:
    connect("cassandra://host/feeds")
except MissingDriverError as error:
    assert error.__cause__ is not None
    print(error)
"""


@pytest.fixture
def session(cassandra_server: CassandraServer) -> Iterator[Session]:
    """A session of the caller's."""
    with cassandra_server.session() as session:
        yield session


def test_a_session_that_is_handed_in_stays_open(session: Session, cassandra_url: str) -> None:
    keyspace = cassandra_url.rpartition("/")[2]
    with CassandraBackend(session=session, keyspace=keyspace, namespace=fresh_namespace()) as backend:
        timelines = backend.timeline_storage()
        timelines.add_to_many(["a", "b"], range(5), max_length=3)
        assert ids_of(timelines.get_slice("a", 0, None)) == [4, 3, 2]
        assert "keyspace" in repr(backend)
    assert not session.is_shutdown
    assert session.execute("SELECT release_version FROM system.local").one()


def test_the_session_s_own_keyspace_is_used(session: Session, cassandra_keyspace: str) -> None:
    session.set_keyspace(cassandra_keyspace.rpartition("/")[2])
    with CassandraBackend(session=session) as backend:
        backend.kv_storage().upsert("key", 1)
    with connect(cassandra_keyspace) as other:
        assert other.kv_storage().fetch_one("key") == 1


def test_sessions_that_are_refused(session: Session) -> None:
    refused: Any = object()
    with pytest.raises(TypeError, match=r"Cluster\.connect"):
        CassandraBackend(session=refused)
    with pytest.raises(ValueError, match="keyspace"):
        CassandraBackend(session=session)
    options: Any
    for options in ({"datacenter": "east"}, {"connect_timeout": 1}, {"ssl_ca_certs": "file"}):
        with pytest.raises(TypeError, match=next(iter(options))):
            CassandraBackend(session=session, keyspace="feeds", **options)
    session.cluster.shutdown()
    with pytest.raises(ValueError, match="closed"):
        CassandraBackend(session=session, keyspace="feeds")


def test_a_session_without_execution_profiles_is_refused(cassandra_server: CassandraServer) -> None:
    nodes = WhiteListRoundRobinPolicy(cassandra_server.hosts)
    with pytest.warns(DeprecationWarning, match="execution profiles"):
        cluster = Cluster(
            cassandra_server.hosts, cassandra_server.port, load_balancing_policy=nodes, protocol_version=5
        )
    try:
        with pytest.raises(ValueError, match="execution_profiles="):
            CassandraBackend(session=cluster.connect(), keyspace="feeds")
    finally:
        cluster.shutdown()


def test_a_backend_that_is_closed_while_it_opens_keeps_no_session(
    cassandra_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []

    def close_it(session: Any, *others: object) -> None:
        opened.append(session)
        backend.close()

    monkeypatch.setattr(store, "prepare_schema", close_it)
    backend = CassandraBackend(cassandra_url)
    with pytest.raises(BackendClosedError, match="was closed during a request"):
        backend.ping()
    assert [session.cluster.is_shutdown for session in opened] == [True]


@pytest.mark.parametrize("use", ["read", "write"])
def test_a_backend_that_is_closed_while_it_prepares_a_statement(
    cassandra_url: str, monkeypatch: pytest.MonkeyPatch, use: str
) -> None:
    """The driver then has no host to ask, which is a temporary error in other cases."""
    backend = CassandraBackend(cassandra_url, namespace=fresh_namespace(), retry_seconds=3_600)
    items = backend.kv_storage()
    items.delete("key")
    session = backend.session.store.session()
    tried: list[str] = []

    def prepare(statement: str) -> None:
        assert not tried, "a closed session is asked again"
        tried.append(statement)
        backend.close()
        raise NoHostAvailable("Unable to complete the operation against any hosts", {})

    monkeypatch.setattr(session, "_ask_to_prepare", prepare)
    with pytest.raises(BackendClosedError, match="was closed during a request"):
        items.fetch_one("key") if use == "read" else items.upsert("key", 1)


def ask_on(backend: CassandraBackend, asked: threading.Event) -> BackendClosedError:
    """Send requests until the backend is closed, and return the exception of the last one."""
    try:
        while True:
            backend.timeline_storage().contains("key", 1)
            asked.set()
    except BackendClosedError as error:
        return error


def close(backend: CassandraBackend, asked: threading.Event) -> None:
    """Close a backend after a thread has received an answer."""
    assert asked.wait(30)
    backend.close()


def test_requests_that_are_under_way_end_with_their_backend(cassandra_url: str) -> None:
    """The driver would begin to try them again, and never do so: they would wait until their time is up."""
    for _ in range(2):
        backend, asked = CassandraBackend(cassandra_url, timeout=30), threading.Event()
        ended = run_in_threads([*[partial(ask_on, backend, asked)] * 3, partial(close, backend, asked)], seconds=15)
        assert [type(one) for one in ended[:-1]] == [BackendClosedError] * 3


def test_a_session_that_is_shut_down_sends_nothing_again(cassandra_url: str) -> None:
    backend = CassandraBackend(cassandra_url)
    session = backend.session.store.session()
    statement = session.bound(backend.session.store.statements.select_format, [b"app"])
    ask_again = session.profile.retry_policy.on_request_error
    assert ask_again(retry_num=0) == (RetryPolicy.RETRY_NEXT_HOST, None)
    assert ask_again(retry_num=3) == (RetryPolicy.RETHROW, None)
    backend.close()
    assert ask_again(retry_num=0) == (RetryPolicy.RETHROW, None)
    with pytest.raises(ConnectionShutdown):
        session.send(statement).result()


@pytest.mark.parametrize("used", [False, True])
def test_a_session_that_is_handed_in_ends_at_a_fork(session: Session, cassandra_url: str, used: bool) -> None:
    backend = CassandraBackend(session=session, keyspace=cassandra_url.rpartition("/")[2])
    if used:
        backend.ping()

    def child() -> str:
        with pytest.raises(ForkedClientError, match="connect by URL") as caught:
            backend.ping()
        return str(caught.value)

    assert "child" in run_in_child(child)
    backend.ping()


def test_a_child_that_exits_the_ordinary_way_leaves_its_parent_alone(cassandra_url: str) -> None:
    """An inherited session is neither used nor closed, also not by the driver at the exit."""
    program = (
        "import os, sys\n"
        "from feedstore import connect\n"
        f"backend = connect({cassandra_url!r}, namespace='exits')\n"
        "backend.kv_storage().upsert('key', 1)\n"
        "for uses in (False, True):\n"
        "    child = os.fork()\n"
        "    if child == 0:\n"
        "        if uses:\n"
        "            assert backend.kv_storage().fetch_one('key') == 1\n"
        "        sys.exit(7)\n"
        "    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7\n"
        "    assert backend.kv_storage().fetch_one('key') == 1\n"
        "backend.close()\n"
    )
    # Python 3.12 and newer warn of every fork of a process with threads.
    command = [sys.executable, "-W", "ignore:This process:DeprecationWarning", "-c", program]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_missing_event_loop_is_told_with_its_fix() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", NO_EVENT_LOOP], capture_output=True, text=True, timeout=60, check=False
    )
    assert "libev" in ended.stdout, ended.stderr
    assert "pip install" in ended.stdout


def test_a_missing_driver_is_told_with_its_extra() -> None:
    program = (
        "import sys\n"
        "sys.modules['cassandra'] = None\n"
        "from importlib import util\n"
        "util.find_spec = lambda name, find=util.find_spec: None if name == 'cassandra' else find(name)\n"
        "from feedstore import connect\n"
        "from feedstore.errors import MissingDriverError\n"
        "try:\n"
        "    connect('cassandra://host/feeds')\n"
        "except MissingDriverError as error:\n"
        "    print(error)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert "feedstore[cassandra]" in ended.stdout, ended.stderr


C_FORK = """
import os, signal, sys
from feedstore import connect

url, namespace, folder = sys.argv[1:]
sys.path.append(folder)
from forking import fork_in_c

# An atomic batch of more bytes goes through the journal.
backend = connect(url, namespace=namespace, batch_limit=2_000)
timelines = backend.timeline_storage()
timelines.add_to_many([f"key{number}" for number in range(20)], [0])
# As a server that is written in C forks: none of Python's hooks runs. The interpreter itself does not outlive such a
# fork if another thread waits for its turn just then, so none does.
children = []
for number in range(1, 3):
    child = fork_in_c()
    if child == 0:
        signal.alarm(60)
        try:
            for one in range(3):
                timelines.add_to_many([f"key{key}" for key in range(20)], [100 * number + one])
                assert timelines.get_slice("key3", 0, None, {"activity_id__lte": 100 * number + one,
                    "activity_id__gte": 100 * number}) != []
            with backend.batch(atomic=True) as batch:
                for key in range(60):
                    timelines.add(f"many{key}", number, batch_interface=batch)
            if number == 1:
                backend.close()
        except BaseException as error:
            print(repr(error), flush=True)
            os._exit(1)
        if number == 1:
            os._exit(0)
        # Python's exit functions run, as in a worker of uWSGI: they join no thread that only the parent has.
        sys.exit(0)
    children.append(child)
    timelines.add("parent", number)
codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
assert codes == [0, 0], codes
assert {timelines.count(f"key{key}") for key in range(20)} == {7}
assert timelines.count("many7") == timelines.count("parent") == 2
backend.close()
print("sound")
"""


@forking.PLAIN_FORKS
def test_children_of_a_fork_without_hooks_have_sessions_of_their_own(cassandra_url: str) -> None:
    command = [sys.executable, "-c", C_FORK, cassandra_url, fresh_namespace(), str(Path(forking.__file__).parent)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (ended.returncode, ended.stdout) == (0, "sound\n"), ended.stderr


@pytest.mark.parametrize("lost", [1, 2])
def test_a_connection_that_is_lost_before_it_is_ready_is_made_once_more(
    cassandra_url: str, monkeypatch: pytest.MonkeyPatch, lost: int
) -> None:
    with CassandraBackend(cassandra_url, namespace=fresh_namespace()) as backend:
        opened = backend.session.store
        really_connect, attempts = opened._connect, 0

        def connect_at_last() -> Any:
            nonlocal attempts
            attempts += 1
            if attempts <= lost:
                raise NoHostAvailable("no host", {"127.0.0.1": ConnectionShutdown("CRC mismatch on header")})
            return really_connect()

        monkeypatch.setattr(opened, "_connect", connect_at_last)
        if lost == 1:
            backend.ping()
        else:
            with pytest.raises(StorageUnavailableError, match="CRC mismatch on header"):
                backend.ping()
        assert attempts == 2
