"""The driver's errors, translated once at the border."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from cassandra import (
    AuthenticationFailed,
    ConsistencyLevel,
    InvalidRequest,
    OperationTimedOut,
    ReadTimeout,
    Unauthorized,
    Unavailable,
    UnresolvableContactPoints,
    WriteTimeout,
    WriteType,
)
from cassandra.cluster import NoHostAvailable
from cassandra.connection import ConnectionShutdown
from cassandra.protocol import OverloadedErrorMessage, ServerError

from feedstore import Activity, connect
from feedstore.backends.cassandra import CassandraBackend, store
from feedstore.backends.cassandra.errors import is_passing, translated
from feedstore.errors import (
    InvalidValueError,
    MissingSchemaError,
    StorageError,
    StorageTimeoutError,
    StorageUnavailableError,
)
from feedstore.events import Event, connect_events
from feedstore.storage import Backend
from polling import poll_until
from servers.acceptor import Acceptor
from servers.cassandra import OwnCassandraServer
from servers.cassandra_configuration import FAST, SHORT_LIVED
from servers.ports import free_port

MANY = [f"key{number}" for number in range(300)]
SECONDS = 60
LABEL = "cassandra://host:9042/feeds"
UNAVAILABLE = Unavailable("Cannot achieve consistency", ConsistencyLevel.QUORUM, 2, 1)
WRITE_TIMEOUT = WriteTimeout("timed out", WriteType.SIMPLE, consistency=ConsistencyLevel.QUORUM)
OVERLOADED = OverloadedErrorMessage(0x1001, "Request is overloaded", {})
BAD_CREDENTIALS = AuthenticationFailed("Provided username u and/or password are incorrect")


def no_host(*errors: Exception) -> NoHostAvailable:
    """Return the driver's error where each node failed in a way of its own."""
    return NoHostAvailable("Unable to connect", {f"node{number}": error for number, error in enumerate(errors)})


@pytest.mark.parametrize(
    ("error", "kind", "words", "passes"),
    [
        (UNAVAILABLE, StorageUnavailableError, "Cannot achieve", True),
        (UnresolvableContactPoints({}), StorageUnavailableError, "cannot resolve", True),
        (OVERLOADED, StorageUnavailableError, "overloaded", True),
        (ConnectionShutdown("closed"), StorageUnavailableError, "closed", True),
        (no_host(ConnectionRefusedError(111, "refused")), StorageUnavailableError, "refused", True),
        (no_host(), StorageUnavailableError, "Unable to connect", True),
        (no_host(UNAVAILABLE), StorageUnavailableError, "Cannot achieve", True),
        (WRITE_TIMEOUT, StorageTimeoutError, "it is safe to repeat it", True),
        (ReadTimeout("timed out", data_retrieved=False), StorageTimeoutError, "timed out", True),
        (OperationTimedOut(), StorageTimeoutError, "timed out|timeout|errors", True),
        (no_host(OperationTimedOut()), StorageTimeoutError, ".", True),
        (ServerError(0, "boom", {}), StorageError, "boom", True),
        (BAD_CREDENTIALS, StorageError, "credentials", False),
        (no_host(ConnectionShutdown("x"), BAD_CREDENTIALS), StorageError, "credentials", False),
        (Unauthorized("no permission"), StorageError, "no permission", False),
        (InvalidRequest("syntax"), StorageError, "syntax", False),
        (InvalidRequest("unconfigured table feedstore_items"), MissingSchemaError, "are missing", False),
        (InvalidRequest("Keyspace 'feeds' does not exist"), MissingSchemaError, "are missing", False),
    ],
)
def test_each_is_one_clear_error(error: Exception, kind: type[Exception], words: str, passes: bool) -> None:
    found = translated(error, LABEL)
    assert type(found) is kind
    assert str(found).startswith(LABEL)
    assert re.search(words, str(found))
    assert is_passing(error) is passes


def test_no_server_listens_there() -> None:
    port = free_port()
    with connect(f"cassandra://user:secret@127.0.0.1:{port}/feeds?retry_seconds=0") as backend:
        for call in (backend.ping, backend.ping, backend.session.durability_gap):
            with pytest.raises(StorageUnavailableError, match=f"127.0.0.1:{port}/feeds") as caught:
                call()
            assert caught.value.__cause__ is not None
            assert "secret" not in f"{caught.value!r} {caught.value.__cause__!r}"


class Silent(Acceptor):
    """A server that accepts connections, reads requests, and never answers."""

    def _serve(self, client: socket.socket) -> None:
        with client:
            while client.recv(2**16):
                pass


def test_a_server_that_never_answers_cannot_be_reached() -> None:
    """Every call ends after ``connect_timeout``, and so does closing."""
    server = Silent()
    try:
        url = f"cassandra://user:secret@127.0.0.1:{server.port}/feeds"
        with connect(url, connect_timeout=0.5, retry_seconds=0) as backend:
            for call in (backend.ping, lambda: backend.kv_storage().upsert("key", 1)):
                with pytest.raises(StorageUnavailableError, match=f"127.0.0.1:{server.port}/feeds: no node answered"):
                    call()
    finally:
        server.close()


@pytest.fixture(scope="module")
def guarded_server() -> Iterator[OwnCassandraServer]:
    """A server that requires a password and checks the rights of each role."""
    # The node hashes a password each time that it checks one. Four rounds make this cheap.
    cheap = ("-Dcassandra.superuser_setup_delay_ms=0", "-Dcassandra.auth_bcrypt_gensalt_log2_rounds=4")
    options = (*FAST, *SHORT_LIVED, *cheap)
    settings: dict[str, object] = {"authenticator": "PasswordAuthenticator", "authorizer": "CassandraAuthorizer"}
    server = OwnCassandraServer(settings=settings, options=options)
    yield server
    server.stop()


def url_at(server: OwnCassandraServer, credentials: str) -> str:
    """Return the URL of a keyspace, which is made where it is not there."""
    return server.url("feeds").replace("//", f"//{credentials}") + "?replication=1"


@pytest.mark.parametrize("credentials", ["ann:secret@", ""])
def test_wrong_credentials_are_not_called_unreachable(guarded_server: OwnCassandraServer, credentials: str) -> None:
    with connect(url_at(guarded_server, credentials)) as backend:
        with pytest.raises(StorageError, match="pass the right credentials") as caught:
            backend.ping()
        assert type(caught.value) is StorageError
        assert "secret" not in f"{caught.value!r} {caught.value.__cause__!r}"


def works(call: Callable[[], object]) -> bool:
    """Return whether a call ends well, and not with a server that is slow or not ready."""
    try:
        call()
    except StorageError:
        return False
    return True


def test_a_role_without_rights_on_the_servers_settings_saves_events(guarded_server: OwnCassandraServer) -> None:
    with connect(url_at(guarded_server, "cassandra:cassandra@")) as owner:
        poll_until(lambda: works(owner.ping), SECONDS, "the first user and the tables")
        assert owner.session.durability_gap() is not None
        session: Any = owner.session.store.session().driver_session
        session.execute("CREATE ROLE zoe WITH PASSWORD = 'secret' AND LOGIN = true")
        for right in ("SELECT", "MODIFY"):
            session.execute(f"GRANT {right} ON KEYSPACE feeds TO zoe")
    with connect_events(guarded_server.url("feeds").replace("//", "//zoe:secret@")) as events:
        assert events.backend.session.durability_gap() is None
        events.save(Event("1", "s", 1))
        assert events.get("1").id == "1"


def test_a_server_that_hangs_ends_every_call_by_its_time(guarded_server: OwnCassandraServer) -> None:
    """However many requests a call consists of, and while it connects, prepares, looks and closes, too."""
    url = url_at(guarded_server, "cassandra:cassandra@")
    with connect(url) as patient:
        poll_until(lambda: works(patient.ping), SECONDS, "the first user and the tables")
    with connect(url, timeout=0.5, retry_seconds=0.2, connect_timeout=1.0) as hasty:
        timelines = hasty.timeline_storage()
        poll_until(lambda: works(lambda: timelines.add_to_many(MANY, [1], max_length=5)), SECONDS, "the first answer")
        calls: list[Callable[[], object]] = [
            lambda: timelines.add_to_many(MANY, [2], max_length=5),
            lambda: timelines.get_many_slices(MANY, 0, None),
            lambda: list(timelines.keys()),
            lambda: hasty.activity_storage().add(Activity("ann", "like", "photo:7")),
            timelines.flush,
            hasty.ping,
        ]
        guarded_server.pause()
        try:
            for call in calls:
                with pytest.raises((StorageTimeoutError, StorageUnavailableError)):
                    call()
            with (
                connect(url, timeout=0.5, retry_seconds=0.2, connect_timeout=1.0) as new,
                pytest.raises(StorageUnavailableError),
            ):
                new.ping()
            hasty.close()
        finally:
            guarded_server.resume()


def test_a_keyspace_that_is_not_there_is_named(cassandra_url: str) -> None:
    url = cassandra_url.rpartition("/")[0] + "/nowhere"
    for schema in (None, "check", "ignore"):
        with connect(url, schema=schema) as backend, pytest.raises(MissingSchemaError, match="nowhere"):
            backend.kv_storage().upsert("key", 1)


def test_a_datacenter_that_the_cluster_does_not_have_is_named(cassandra_url: str) -> None:
    with (
        connect(cassandra_url, datacenter="mars") as backend,
        pytest.raises(InvalidValueError, match="no datacenter 'mars'; its datacenters are datacenter1"),
    ):
        backend.ping()


class Failing:
    """A session's ``send`` that fails so many times first, and counts the statements it was given."""

    def __init__(self, backend: Backend, error: Exception, times: int, monkeypatch: pytest.MonkeyPatch) -> None:
        assert isinstance(backend, CassandraBackend)
        session = backend.session.store.session()
        self._send = session.send
        self._error = error
        self._left = times
        self.sent: list[Any] = []
        monkeypatch.setattr(session, "send", self)

    def __call__(self, statement: Any) -> Any:
        self.sent.append(statement)
        future = self._send(statement)
        self._left -= 1
        return self if self._left >= 0 else future

    def result(self) -> Any:
        """Raise the exception that stands for the answer."""
        raise self._error


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that the store would have waited."""
    waited: list[float] = []
    # The driver's own threads sleep too.
    monkeypatch.setattr(store, "time", SimpleNamespace(monotonic=time.monotonic, sleep=waited.append))
    return waited


@pytest.mark.parametrize("backend_kind", ["cassandra"])
@pytest.mark.parametrize("error", [WRITE_TIMEOUT, UNAVAILABLE, OVERLOADED, OperationTimedOut()])
def test_what_may_have_happened_is_sent_again_as_it_was(
    backend: Backend, monkeypatch: pytest.MonkeyPatch, pauses: list[float], error: Exception
) -> None:
    """A write keeps its timestamp, so that it happens once however often it is sent."""
    timelines = backend.timeline_storage()
    timelines.add("key", 1)
    failing = Failing(backend, error, 2, monkeypatch)
    timelines.add("key", 2)
    assert len(failing.sent) == 3
    assert failing.sent[0] is failing.sent[1] is failing.sent[2]
    assert len(pauses) == 2
    failing = Failing(backend, error, 1, monkeypatch)
    assert timelines.count("key") == 2
    assert len(pauses) >= 2


@pytest.mark.parametrize("backend_kind", ["cassandra"])
def test_only_what_failed_is_sent_again(backend: Backend, monkeypatch: pytest.MonkeyPatch, pauses: list[float]) -> None:
    timelines = backend.timeline_storage()
    keys = [str(number) for number in range(1_000)]
    timelines.add_to_many(keys, [1])
    failing = Failing(backend, UNAVAILABLE, 3, monkeypatch)
    timelines.add_to_many(keys, [2])
    # A name of the directory is read beside the writes, and its answer is waited for after theirs.
    read, *writes = failing.sent[:3]
    assert failing.sent[-3:] == [*writes, read]
    assert len({id(statement) for statement in failing.sent}) == len(failing.sent) - 3
    assert len(pauses) == 2


@pytest.mark.parametrize("backend_kind", ["cassandra"])
def test_a_refused_request_is_not_sent_again(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    timelines = backend.timeline_storage()
    timelines.add("key", 1)
    failing = Failing(backend, InvalidRequest("no such thing"), 1, monkeypatch)
    with pytest.raises(StorageError, match="no such thing"):
        timelines.add("key", 2)
    assert len(failing.sent) == 1


@pytest.mark.parametrize("backend_kind", ["cassandra"])
def test_the_last_error_is_told_when_the_time_is_up(
    backend: Backend, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connect(store_url, namespace=backend.namespace, retry_seconds=0) as hasty:
        hasty.timeline_storage().add("key", 1)
        Failing(hasty, WRITE_TIMEOUT, 10**6, monkeypatch)
        with pytest.raises(StorageTimeoutError, match="it is safe to repeat it") as caught:
            hasty.timeline_storage().add("key", 2)
        assert caught.value.__cause__ is WRITE_TIMEOUT


@pytest.mark.parametrize("use", ["read", "write"])
def test_preparing_is_tried_once_where_nothing_is_to_be_tried_again(
    cassandra_url: str, monkeypatch: pytest.MonkeyPatch, use: str
) -> None:
    tried = []

    def prepare(statement: str) -> None:
        tried.append(statement)
        raise OperationTimedOut

    with CassandraBackend(cassandra_url, retry_seconds=0) as backend:
        backend.session.store.memory.remember(backend.namespace)
        monkeypatch.setattr(backend.session.store.session(), "_ask_to_prepare", prepare)
        items = backend.kv_storage()
        with pytest.raises(StorageTimeoutError):
            items.fetch_one("key") if use == "read" else items.upsert("key", 1)
    assert len(tried) == 1
