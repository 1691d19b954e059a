"""The opening of a store from a URL or a ready client."""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import partial
from typing import Any

from redis import (
    Connection,
    ConnectionPool,
    Redis,
    RedisCluster,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.backoff import NoBackoff
from redis.client import Pipeline
from redis.cluster import ClusterPipeline
from redis.retry import Retry

from feedstore.backends.redis.address import SOCKET, Address, parse_address
from feedstore.backends.redis.address_map import AddressMap, RemappedAddresses
from feedstore.backends.redis.cluster import ClusterSeed, ClusterTransport
from feedstore.backends.redis.connections import Connections, PoolConnections
from feedstore.backends.redis.options import (
    OPTIONS,
    Settings,
    connection_arguments,
    read_options,
    settings_of,
)
from feedstore.backends.redis.pool import OwnConnections
from feedstore.backends.redis.sentinel import (
    SentinelConnections,
    Sentinels,
    check_primary,
    connect_to_sentinel,
)
from feedstore.backends.redis.server import ServerTransport
from feedstore.backends.redis.store import Store
from feedstore.backends.server_url import Place
from feedstore.errors import InvalidTypeError, InvalidValueError

_GIVEN = "the Redis of the given client"
_GIVEN_CLUSTER = "the Cluster of the given client"
_SERVER_RETRY_SECONDS = 5.0
_CLUSTER_RETRY_SECONDS = 20.0
# Arguments of a ready client's pool that name the server, or belong to the maintenance messages of RESP3.
_CLIENTS_OWN_ARGUMENTS = ("host", "port", "maint", "oss_cluster_maint", "orig_")
# These settings detect a dead peer after 45 seconds. The names are Linux's. redis-py's defaults differ between
# releases.
_KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}


def open_store(url: str | None, client: Any, given: dict[str, Any]) -> tuple[Store, str]:
    """Return a store and the namespace to use in it. Nothing is connected yet."""
    if url is not None:
        address = parse_address(url)
        options = read_options(address.query, given)
        store = _store_at(address, options)
    else:
        options = read_options({}, given)
        OPTIONS.refuse_of_connection(options, "client")
        store = _store_of(client, options)
    return store, options.get("namespace", OPTIONS["namespace"].default)


def _store_at(address: Address, options: dict[str, Any]) -> Store:
    settings = settings_of(options, _CLUSTER_RETRY_SECONDS if address.is_cluster else _SERVER_RETRY_SECONDS)
    arguments = _connection_arguments(address, options)
    if settings.wait_replicas and settings.wait_timeout >= arguments["socket_timeout"]:
        raise InvalidValueError(
            f"wait_timeout is {settings.wait_timeout:g} seconds, and timeout is "
            f"{arguments['socket_timeout']:g} seconds; pass a timeout that is longer than wait_timeout"
        )
    _refuse_useless_options(address, options)
    most = arguments.pop("max_connections")
    if address.is_cluster:
        address_map = options.get("address_map", AddressMap())
        make = partial(_connection_class(address), **arguments)
        seed = ClusterSeed(address.places, address_map, make, most, *_seconds_of(arguments))
        return _cluster_store(seed, settings, address.label, was_given=False)
    pool = {"most": most, "seconds": arguments["socket_timeout"]}

    def make_transport(when_connected: Callable[[], object]) -> ServerTransport:
        connections: Connections
        if address.is_sentinel:
            connections = _sentinel_connections(address, options, arguments, when_connected=when_connected, **pool)
        else:
            make = partial(_connection_class(address), **arguments)
            connections = OwnConnections(make, when_connected=when_connected, **pool)
        return ServerTransport(connections, settings, address.label)

    return Store(make_transport, settings, address.label, is_cluster=False, was_given=False)


def _connection_arguments(address: Address, options: dict[str, Any]) -> dict[str, Any]:
    # The transport retries by itself.
    arguments = {
        **address.connection_arguments(),
        **connection_arguments(options),
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
    }
    if address.scheme != SOCKET:
        arguments["socket_keepalive"] = True
        arguments["socket_keepalive_options"] = {
            getattr(socket, name): value for name, value in _KEEPALIVE.items() if hasattr(socket, name)
        }
    return arguments


def _refuse_useless_options(address: Address, options: dict[str, Any]) -> None:
    tls = [name for name in options if name.startswith("ssl_")]
    if tls and not address.is_encrypted:
        raise InvalidValueError(
            f"the option {tls[0]} needs TLS; use rediss://, rediss+cluster:// or rediss+sentinel://"
        )
    for name in ("sentinel_username", "sentinel_password"):
        if name in options and not address.is_sentinel:
            raise InvalidValueError(f"the option {name} needs Sentinels; use redis+sentinel://")
    if "address_map" in options and not (address.is_cluster or address.is_sentinel):
        raise InvalidValueError(
            "the option address_map needs a Cluster or Sentinels; the URL of one server already has its address"
        )


def _connection_class(address: Address) -> Any:
    if address.scheme == SOCKET:
        return UnixDomainSocketConnection
    return SSLConnection if address.is_encrypted else Connection


def _sentinel_connections(
    address: Address, options: dict[str, Any], arguments: dict[str, Any], **pool: Any
) -> SentinelConnections:
    connection_class = _connection_class(address)
    not_theirs = ("username", "password", "db", "client_name")
    for_sentinels = {name: value for name, value in arguments.items() if name not in not_theirs}
    for name in ("username", "password"):
        if f"sentinel_{name}" in options:
            for_sentinels[name] = options[f"sentinel_{name}"]
    address_map = options.get("address_map", AddressMap())
    ask = partial(connect_to_sentinel, connection_class, for_sentinels)
    sentinels = Sentinels(address.places, address.service, address_map, ask)

    def connect_to(place: Place) -> Any:
        return connection_class(host=place[0], port=place[1], redis_connect_func=check_primary, **arguments)

    return SentinelConnections(sentinels, connect_to, **pool)


def _seconds_of(arguments: dict[str, Any]) -> tuple[float, float]:
    """Return the seconds to wait for a free connection, and those for a Cluster's node to connect and answer."""
    timeout = arguments.get("socket_timeout") or OPTIONS["timeout"].default
    return timeout, timeout + (arguments.get("socket_connect_timeout") or timeout)


def _cluster_store(seed: ClusterSeed, settings: Settings, label: str, was_given: bool) -> Store:
    def make_transport(when_connected: Callable[[], object]) -> ClusterTransport:
        return ClusterTransport(seed, settings, label, when_connected)

    return Store(make_transport, settings, label, is_cluster=True, was_given=was_given)


def _store_of(client: Any, options: dict[str, Any]) -> Store:
    _refuse_other_clients(client)
    if isinstance(client, RedisCluster):
        _refuse_decoding(client.nodes_manager.connection_kwargs)
        settings = settings_of(options, _CLUSTER_RETRY_SECONDS)
        return _cluster_store(_seed_of(client), settings, _GIVEN_CLUSTER, was_given=True)
    pool: ConnectionPool = client.connection_pool
    _refuse_decoding(pool.connection_kwargs)
    settings = settings_of(options, _SERVER_RETRY_SECONDS)

    def make_server(when_connected: Callable[[], object]) -> ServerTransport:
        return ServerTransport(PoolConnections(pool, when_connected), settings, _GIVEN)

    return Store(make_server, settings, _GIVEN, is_cluster=False, was_given=True)


def _seed_of(client: Any) -> ClusterSeed:
    """Return the way to connect as a ready client does. The client's own connections stay with its other users."""
    nodes = client.get_nodes()
    pool = client.get_redis_connection(nodes[0]).connection_pool
    arguments = {
        name: value for name, value in pool.connection_kwargs.items() if not name.startswith(_CLIENTS_OWN_ARGUMENTS)
    }
    make = partial(pool.connection_class, **{**arguments, "retry": Retry(NoBackoff(), 0), "protocol": 2})
    places = [(node.host, node.port) for node in nodes]
    address_map = RemappedAddresses(client.nodes_manager.address_remap)
    return ClusterSeed(places, address_map, make, pool.max_connections, *_seconds_of(arguments))


def _refuse_other_clients(client: Any) -> None:
    # A pipeline is a subclass of the client that it belongs to, and an asynchronous client has the same name.
    if not isinstance(client, (Redis, RedisCluster)) or isinstance(client, (Pipeline, ClusterPipeline)):
        kind = f"{type(client).__module__}.{type(client).__qualname__}"
        raise InvalidTypeError(f"client must be a redis.Redis or a redis.RedisCluster, not a {kind}")


def _refuse_decoding(arguments: dict[str, Any]) -> None:
    if arguments.get("decode_responses"):
        raise InvalidValueError("the client decodes its answers, but ids are bytes; pass one without decode_responses")
