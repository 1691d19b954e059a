"""The checks of a Cluster before its first use, and the rights that they need."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from everything import use_everything
from feedstore import connect
from feedstore.errors import InvalidValueError, StorageError, StorageUnavailableError
from servers.redis import OwnRedisServer
from servers.redis_cluster import OwnRedisCluster
from stores import fresh_namespace

_DOCUMENTED = ("~feedstore*", "+@read", "+@write", "+@scripting", "+@connection", "+cluster|slots")
_FOR_QUEUES = ("&feedstore*", "+@pubsub", "+time")


def url_of(cluster: OwnRedisCluster, user: str, *rights: str) -> str:
    """Make a user with rights on every node and return the URL that it connects with."""
    for server in cluster.servers:
        client: Any = server.client()
        client.execute_command("ACL", "SETUSER", user, "reset", "on", ">very-secret", *rights)
        client.close()
    return cluster.url.replace("://", f"://{user}:very-secret@")


def test_the_documented_rights_are_enough(shared_cluster: OwnRedisCluster) -> None:
    with connect(url_of(shared_cluster, "all", *_DOCUMENTED, *_FOR_QUEUES), namespace=fresh_namespace()) as backend:
        use_everything(backend)


def test_a_missing_right_is_refused_at_once(shared_cluster: OwnRedisCluster) -> None:
    url = url_of(shared_cluster, "few", *_DOCUMENTED[:-1])
    # Tried again for an hour it would be if it counted as passing trouble.
    with (
        connect(url, retry_seconds=3600) as backend,
        pytest.raises(StorageError, match=r"grant .* \+cluster\|slots"),
    ):
        backend.ping()


def test_a_wrong_password_is_refused_at_once(shared_cluster: OwnRedisCluster) -> None:
    url = url_of(shared_cluster, "known", *_DOCUMENTED).replace("very-secret", "wrong-secret")
    with connect(url, retry_seconds=3600) as backend, pytest.raises(StorageError, match="invalid username") as caught:
        backend.ping()
    assert not isinstance(caught.value, StorageUnavailableError)
    assert "secret" not in f"{caught.value} {caught.value.__cause__!r}"


def test_one_server_is_no_cluster(redis_url: str) -> None:
    url = redis_url.replace("redis://", "redis+cluster://")
    with (
        connect(url, retry_seconds=3600) as backend,
        pytest.raises(StorageError, match=r"use redis://"),
    ):
        backend.ping()


def test_a_cluster_has_no_databases(shared_cluster: OwnRedisCluster) -> None:
    with pytest.raises(InvalidValueError, match="no databases"):
        connect(f"{shared_cluster.url}/3")


def test_every_primary_is_asked_for_its_eviction_policy(
    shared_cluster: OwnRedisCluster, caplog: pytest.LogCaptureFixture
) -> None:
    primaries = shared_cluster.primaries()
    _configure(primaries, "allkeys-lru", "1gb")
    with caplog.at_level(logging.WARNING, "feedstore.redis"), connect(shared_cluster.url) as backend:
        backend.ping()
        backend.ping()
    _configure(primaries, "noeviction", "0")
    messages = [record.getMessage() for record in caplog.records if "allkeys-lru" in record.getMessage()]
    assert len(messages) == len(primaries)


def _configure(servers: list[OwnRedisServer], policy: str, maxmemory: str) -> None:
    for server in servers:
        client: Any = server.client()
        client.config_set("maxmemory-policy", policy)
        client.config_set("maxmemory", maxmemory)
        client.close()
