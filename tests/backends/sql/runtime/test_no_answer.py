"""A PostgreSQL server that accepts and never answers: every call ends."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from feedstore import Activity, connect
from feedstore.backends.sql import SqlBackend
from feedstore.backends.sql.postgresql import source
from feedstore.errors import StorageTimeoutError, StorageUnavailableError
from feedstore.storage import Backend
from polling import poll_until
from servers.swallowing import SwallowingProxy

_OPTIONS: dict[str, Any] = {"statement_timeout": 0.3, "connect_timeout": 1, "pool_timeout": 1}


@pytest.fixture
def proxy(migrated_database: str) -> Iterator[SwallowingProxy]:
    parameters = psycopg.conninfo.conninfo_to_dict(migrated_database)
    proxy = SwallowingProxy(str(parameters["host"]), int(str(parameters.get("port", 5432))))
    yield proxy
    proxy.close()


@pytest.fixture
def url(proxy: SwallowingProxy, migrated_database: str) -> str:
    """The URL of the test's database through the proxy."""
    parameters = psycopg.conninfo.conninfo_to_dict(migrated_database)
    password = f":{parameters['password']}" if "password" in parameters else ""
    return f"postgresql://{parameters['user']}{password}@127.0.0.1:{proxy.port}/{parameters['dbname']}"


def _calls(backend: Backend) -> dict[str, Callable[[], object]]:
    timelines, activities, kv = backend.timeline_storage(), backend.activity_storage(), backend.kv_storage()
    queue = backend.queue("queue")

    def write_batch() -> None:
        with backend.batch(atomic=True) as batch:
            timelines.add("key", 1, batch_interface=batch)

    return {
        "ping": backend.ping,
        "get_slice": lambda: timelines.get_slice("key", 0, 5),
        "add": lambda: timelines.add("key", 1),
        "add a large one": lambda: activities.add(Activity("a", "b", "c", extra_context={"text": "x" * 10**6})),
        "keys": lambda: list(timelines.keys()),
        "upsert": lambda: kv.upsert("key", 1),
        "push": lambda: queue.push("message"),
        "receive": lambda: queue.receive(timeout=0),
        "flush": timelines.flush,
        "batch": write_batch,
    }


@pytest.mark.parametrize("name", _calls(connect("memory://")))
def test_every_call_ends_where_what_is_sent_is_swallowed(proxy: SwallowingProxy, url: str, name: str) -> None:
    with connect(url, **_OPTIONS) as backend:
        backend.queue("queue").push("message")
        proxy.swallow()
        with pytest.raises(StorageTimeoutError, match="did not answer"):
            _calls(backend)[name]()
        proxy.pass_on()
        _calls(backend)[name]()


def test_connecting_ends(proxy: SwallowingProxy, url: str) -> None:
    proxy.swallow()
    with connect(url, **_OPTIONS) as backend, pytest.raises(StorageUnavailableError, match="cannot be reached"):
        backend.ping()


def test_a_server_that_is_stopped(migrated_database: str) -> None:
    """The server's processes are stopped, and the operating system goes on to accept and to acknowledge for them."""
    with SqlBackend(migrated_database, **_OPTIONS) as backend:
        ((server,),) = backend.session.store.fetch("SELECT pg_backend_pid()", ())
        os.kill(server, signal.SIGSTOP)
        try:
            with pytest.raises(StorageTimeoutError, match="did not answer"):
                backend.timeline_storage().add("key", 1)
        finally:
            os.kill(server, signal.SIGCONT)
        assert backend.timeline_storage().add("key", 2) == 1


def test_a_listening_connection_that_is_swallowed_is_noticed(
    proxy: SwallowingProxy, url: str, migrated_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "_CHECK_SECONDS", 0.0)
    received = threading.Event()
    with (
        connect(url, **_OPTIONS) as backend,
        connect(migrated_database) as writer,
        backend.notifier().subscribe(lambda keys: received.set(), recheck_seconds=0.5) as subscription,
    ):
        subscription.add(["key"])
        assert received.wait(30)
        poll_until(lambda: proxy.connections >= 2, 30, "a connection that listens")
        proxy.cut_off_those_that_are_open()
        before = proxy.connections
        poll_until(lambda: proxy.connections > before, 30, "another connection that listens")
        received.clear()
        writer.timeline_storage(notifier=writer.notifier()).add("key", 1)
        assert received.wait(30)


@pytest.mark.parametrize(
    ("url", "meaning"),
    [
        ("{user}@{place}/no_such_database", "reached and refused"),
        ("no_such_user@{place}/{database}", "reached and refused"),
        ("{user}@127.0.0.1:1/{database}", "cannot be reached"),
    ],
)
def test_a_refusal_is_not_called_unreachable(migrated_database: str, url: str, meaning: str) -> None:
    parameters = psycopg.conninfo.conninfo_to_dict(migrated_database)
    place = f"{parameters['host']}:{parameters['port']}"
    address = url.format(user=parameters["user"], place=place, database=parameters["dbname"])
    with connect(f"postgresql://{address}") as backend, pytest.raises(StorageUnavailableError, match=meaning):
        backend.ping()


def test_each_host_has_its_port(migrated_database: str) -> None:
    parameters = psycopg.conninfo.conninfo_to_dict(migrated_database)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        closed = unused.getsockname()[1]
        places = f"127.0.0.1:{closed},{parameters['host']}:{parameters['port']}"
        url = f"postgresql://{parameters['user']}@{places}/{parameters['dbname']}?target_session_attrs=read-write"
        with connect(url) as backend:
            backend.ping()
