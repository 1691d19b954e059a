"""Finding the primary through Redis Sentinel, a real one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from everything import use_everything
from feedstore import connect
from feedstore.backends.redis import RedisBackend
from feedstore.errors import StorageError, StorageUnavailableError
from polling import poll_until
from servers.ports import LOOPBACK, free_port
from servers.proxy import Forwarder
from servers.redis_sentinel import OwnRedisSentinel
from stores import fresh_namespace

SECONDS = 60.0


@pytest.fixture(scope="module")
def sentinel() -> Iterator[OwnRedisSentinel]:
    """A Sentinel whose servers change places on a test's request."""
    sentinel = OwnRedisSentinel()
    yield sentinel
    sentinel.stop()


def test_the_primary_is_found_and_serves_everything(sentinel: OwnRedisSentinel) -> None:
    with connect(sentinel.url, namespace=fresh_namespace()) as backend:
        use_everything(backend)
        assert repr(backend).count(f"{LOOPBACK}:{sentinel.port}/main/2") == 1
        assert "serving" not in repr(backend) + str(backend)
        primary = next(server for server in sentinel.servers if server.port == sentinel.primary_port())
        client: Any = sentinel.client_of(primary)
        assert client.info("keyspace")["db2"]["keys"] > 0
        client.close()


def test_a_sentinel_that_is_away_is_passed_over(sentinel: OwnRedisSentinel) -> None:
    url = sentinel.url.replace(f"@{LOOPBACK}", f"@{LOOPBACK}:{free_port()},{LOOPBACK}")
    with connect(url, namespace=fresh_namespace()) as backend:
        assert backend.timeline_storage().add("key", 1) == 1


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("/main/", "/other/", "no Sentinel knows the service 'other'"),
        ("sentinel_password=watching", "sentinel_password=wrong-secret", "(?i)invalid username|WRONGPASS"),
        ("?sentinel_password=watching", "", "(?i)authentication required"),
        (":serving@", ":wrong-secret@", "(?i)invalid username|WRONGPASS"),
        ("/main/2", "/main/99", "(?i)DB index"),
    ],
)
def test_a_wrong_name_or_password_is_refused_without_delay(
    sentinel: OwnRedisSentinel, before: str, after: str, message: str
) -> None:
    url = sentinel.url.replace(before, after)
    with connect(url, retry_seconds=3600) as backend, pytest.raises(StorageError, match=message) as caught:
        backend.ping()
    assert not isinstance(caught.value, StorageUnavailableError)
    assert "secret" not in str(caught.value)


def test_no_sentinel_is_an_unavailable_store() -> None:
    with (
        connect(f"redis+sentinel://{LOOPBACK}:{free_port()}/main", retry_seconds=0.1) as backend,
        pytest.raises(StorageUnavailableError, match="no Sentinel of"),
    ):
        backend.ping()


def test_addresses_that_a_sentinel_names_are_mapped(sentinel: OwnRedisSentinel) -> None:
    forwarders = {server.port: Forwarder(server.port) for server in sentinel.servers}
    address_map = {f"{LOOPBACK}:{port}": f"localhost:{one.port}" for port, one in forwarders.items()}
    with connect(sentinel.url, namespace=fresh_namespace(), address_map=address_map) as backend:
        assert backend.timeline_storage().add("key", 1) == 1
    assert forwarders[sentinel.primary_port()].connections > 0
    for forwarder in forwarders.values():
        forwarder.close()


def test_calls_go_on_with_the_new_primary_after_a_failover() -> None:
    sentinel = OwnRedisSentinel()
    try:
        with RedisBackend(sentinel.url, namespace=fresh_namespace(), retry_seconds=SECONDS) as backend:
            _fail_over_amid_writes(sentinel, backend)
    finally:
        sentinel.stop()


def _fail_over_amid_writes(sentinel: OwnRedisSentinel, backend: RedisBackend) -> None:
    timelines = backend.timeline_storage()
    done = threading.Event()
    old = sentinel.primary_port()

    def write() -> int:
        number = 0
        while not done.is_set():
            timelines.add("key", number)
            number += 1
        return number

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        try:
            poll_until(lambda: timelines.count("key") > 9, SECONDS, "some writes")
            next(server for server in sentinel.servers if server.port == old).kill()
            poll_until(lambda: sentinel.primary_port() != old, SECONDS, "the promotion of the replica")
            before = timelines.count("key")
            poll_until(lambda: timelines.count("key") > before, SECONDS, "writes on the new primary")
        finally:
            done.set()
        assert writing.result(SECONDS) > before
