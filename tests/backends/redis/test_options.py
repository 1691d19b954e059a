"""Addresses, options, handed-in clients, namespaces."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import redis

from feedstore import connect
from feedstore.backends.redis import RedisBackend
from feedstore.backends.redis.address import parse_address
from feedstore.backends.redis.command import Command
from feedstore.backends.redis.keys import FORMAT, marker_key
from feedstore.backends.redis.options import OPTIONS
from feedstore.errors import ForkedClientError, InvalidValueError, NewerSchemaError, OutdatedSchemaError, StorageError
from feedstore.testing.processes import run_in_child
from servers.redis import OwnRedisServer
from stores import fresh_namespace


@pytest.mark.parametrize(
    ("url", "label"),
    [
        ("redis://user:secret@host:7000/3", "redis://host:7000/3"),
        ("redis://:se%40cret@[::1]", "redis://[::1]:6379/0"),
        ("rediss://secret@host", "rediss://host:6379/0"),
        ("redis+sentinel://u:secret@a,b:2/main/4", "redis+sentinel://a:26379,b:2/main/4"),
        ("redis+sentinel://a/main", "redis+sentinel://a:26379/main/0"),
        ("redis+cluster://u:secret@a:1,b:2,c", "redis+cluster://a:1,b:2,c:6379"),
        ("unix:///run/redis/socket?db=2", "unix:///run/redis/socket?db=2"),
    ],
)
def test_addresses(url: str, label: str) -> None:
    address = parse_address(url)
    assert address.label == label
    assert "secret" not in repr(address)
    assert "secret" not in repr(connect(url))


@pytest.mark.parametrize(
    "url",
    [
        "redis://user:secret@x@host",
        "redis://user:secret@host:port",
        "redis://user:secret@a,b",
        "redis+cluster://user:secret@a/3",
        "redis://user:secret@host/name",
        f"redis://user:secret@host/{'5' * 5_000}",
        f"redis://user:secret@{'h' * 64}.example",
        "redis://user:secret@host..example",
        "redis://user:secret@host?client_name=\ud800",
        "redis://user:secret@host?timeout=never",
        "redis://user:secret@host?timeout",
        "redis://user:secret@host?timeout=1&timeout=2",
        "redis://user:secret@host?ssl_ca_certs=file",
        "redis://user:secret@host?buckets=257",
        "redis://user:secret@host?address_map=a=b",
        "redis://user:secret@host?sentinel_password=secret",
        "redis+cluster://user:secret@host?address_map=a",
        "redis+cluster://user:secret@host?address_map=a=b,a=c",
        "redis+cluster://user:secret@host?address_map=a:99999=b",
        "redis+cluster://user:secret@host?address_map=",
        "redis+sentinel://user:secret@host",
        "redis+sentinel://user:secret@host/main/name",
        "redis://user:secret@host?colocate=true&buckets=2",
        "unix://user:secret@host/path",
    ],
)
def test_addresses_and_options_that_are_refused(url: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        connect(url)
    assert "secret" not in str(caught.value)


def test_a_missing_driver_names_the_extra() -> None:
    without = "import importlib.util; importlib.util.find_spec = lambda name: None; import feedstore.backends.redis"
    ended = subprocess.run([sys.executable, "-c", without], capture_output=True, text=True, check=False)
    assert "MissingDriverError: the Redis backend needs redis-py: pip install 'feedstore[redis]'" in ended.stderr


def test_an_unknown_option_is_named() -> None:
    with pytest.raises(TypeError, match="no_such_option"):
        connect("redis://host", no_such_option=1)
    with pytest.raises(InvalidValueError, match="pass it once"):
        connect("redis://host?timeout=1", timeout=2)


def test_every_option_is_documented() -> None:
    documented = RedisBackend.__doc__ or ""
    assert [name for name in OPTIONS if f"``{name}``" not in documented] == []


def test_a_wrong_password_stays_out_of_the_error() -> None:
    server = OwnRedisServer()
    try:
        client = server.client()
        client.config_set("requirepass", "right")
        url = server.url.replace("://", "://:wrong-secret@")
        with connect(url) as backend, pytest.raises(StorageError) as caught:
            backend.ping()
        assert "wrong-secret" not in f"{caught.value} {caught.value.__cause__!r}"
        with connect(server.url.replace("://", "://:right@")) as backend:
            backend.ping()
        client.close()
    finally:
        server.stop()


def test_a_client_that_is_handed_in(redis_url: str) -> None:
    client = redis.Redis.from_url(redis_url, protocol=2)
    namespace = fresh_namespace()
    with RedisBackend(client=client, namespace=namespace) as backend:
        assert backend.timeline_storage().add("key", 1) == 1

        def use() -> str:
            with pytest.raises(ForkedClientError, match="before this process was forked"):
                backend.timeline_storage().count("key")
            return "refused"

        assert run_in_child(use) == "refused"
    assert client.ping() is True
    client.close()


def test_a_client_that_decodes_or_is_none_is_refused(redis_url: str) -> None:
    refused: Any = object()
    with pytest.raises(TypeError, match=r"redis\.Redis"):
        RedisBackend(client=refused)
    with pytest.raises(ValueError, match="decode_responses"):
        RedisBackend(client=redis.Redis.from_url(redis_url, decode_responses=True))
    with pytest.raises(TypeError, match="timeout"):
        RedisBackend(client=redis.Redis.from_url(redis_url), timeout=1)
    with pytest.raises(TypeError, match="either a URL or client="):
        RedisBackend()


def test_the_number_of_buckets_is_fixed_by_the_first_write(redis_url: str) -> None:
    namespace = fresh_namespace()
    with connect(redis_url, namespace=namespace, buckets=8) as backend:
        backend.timeline_storage().add_to_many([f"key{number}" for number in range(100)], [1])
    with connect(redis_url, namespace=namespace) as backend:
        assert len(list(backend.timeline_storage().keys())) == 100
        assert backend.timeline_storage().count("key7") == 1
    with connect(redis_url, namespace=namespace, buckets=16) as backend, pytest.raises(ValueError, match="8 buckets"):
        backend.timeline_storage().count("key")


def test_a_newer_format_is_refused_by_name(redis_url: str) -> None:
    namespace = fresh_namespace()
    client = redis.Redis.from_url(redis_url, protocol=2)
    client.hset(marker_key(namespace), mapping={"format": FORMAT + 1, "buckets": 64})
    with connect(redis_url, namespace=namespace) as backend, pytest.raises(NewerSchemaError, match="format 3"):
        backend.timeline_storage().add("key", 1)
    client.close()


@pytest.mark.parametrize("fixture", ["redis_url", "redis_cluster_url"])
def test_an_older_format_is_refused_by_name_and_stays(request: pytest.FixtureRequest, fixture: str) -> None:
    """It is not converted: reads and writes name the format, and nothing is changed."""
    url, namespace = request.getfixturevalue(fixture), fresh_namespace()
    with connect(url, namespace=namespace) as backend:
        assert isinstance(backend, RedisBackend)
        marker = marker_key(namespace)
        backend.session.store.ask(Command(namespace, ("HSET", marker, "format", 1, "buckets", 64), writes=True))
        timelines, items = backend.timeline_storage(name="events"), backend.kv_storage()
        calls: list[Callable[[], Any]] = [
            lambda: timelines.add("key", 1),
            lambda: timelines.count("key"),
            lambda: items.upsert("key", 1),
        ]
        for call in calls:
            with pytest.raises(OutdatedSchemaError, match=f"{namespace}.*format 1"):
                call()
        assert backend.session.store.ask(Command(namespace, ("HGET", marker, "format"))) == b"1"


def test_an_eviction_policy_that_drops_timelines_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    server = OwnRedisServer("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
    try:
        with caplog.at_level(logging.WARNING, "feedstore.redis"), connect(server.url) as backend:
            backend.ping()
            backend.ping()
        assert [record.getMessage() for record in caplog.records if "allkeys-lru" in record.getMessage()] != []
        assert len(caplog.records) == 1
    finally:
        server.stop()


def test_late_arrivals_of_a_fan_out_keep_the_floor(redis_url: str) -> None:
    with connect(redis_url, namespace=fresh_namespace()) as backend:
        timelines = backend.timeline_storage()
        timelines.add_many("key", range(10, 20))
        timelines.trim("key", 4)
        assert timelines.add_to_many(["key"], [3, 4], max_length=10) == 2
        page = timelines.get_page("key", 9)
        assert page.floor == 16
        assert [reference.serialization_id for reference in page.items] == [19, 18, 17, 16, 4, 3]
        assert timelines.add_to_many(["key"], [20], max_length=4) == 1
        page = timelines.get_page("key", 9)
        assert page.floor == 17
        assert [reference.serialization_id for reference in page.items] == [20, 19, 18, 17]
