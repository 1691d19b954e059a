"""Making a store of a URL or of a ready client."""

from __future__ import annotations

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
from redis.cluster import ClusterNode, ClusterPipeline
from redis.retry import Retry

from feedstore.backends.redis.address import SOCKET, Address, parse_address
from feedstore.backends.redis.cluster import ClusterTransport
from feedstore.backends.redis.connections import OwnConnections, PoolConnections
from feedstore.backends.redis.options import (
    OPTIONS,
    Settings,
    connection_arguments,
    read_options,
    refuse_connection_options,
    settings_of,
)
from feedstore.backends.redis.server import ServerTransport
from feedstore.backends.redis.store import Store
from feedstore.errors import InvalidTypeError, InvalidValueError

# The driver publishes no types for this.
_ClusterNode: Any = ClusterNode
_GIVEN = "the Redis that was handed in"
_GIVEN_CLUSTER = "the Cluster that was handed in"
_SERVER_RETRY_SECONDS = 5.0
_CLUSTER_RETRY_SECONDS = 20.0


def open_store(url: str | None, client: Any, given: dict[str, Any]) -> tuple[Store, str]:
    """Return a store and the namespace to use in it. Nothing is connected yet."""
    if url is not None:
        address = parse_address(url)
        options = read_options(address.query, given)
        store = _store_at(address, options)
    else:
        options = read_options({}, given)
        refuse_connection_options(options)
        store = _store_of(client, options)
    return store, options.get("namespace", OPTIONS["namespace"].default)


def _store_at(address: Address, options: dict[str, Any]) -> Store:
    settings = settings_of(options, _CLUSTER_RETRY_SECONDS if address.is_cluster else _SERVER_RETRY_SECONDS)
    # The transport tries again itself, and knows what may be sent twice.
    arguments = {
        **address.connection_arguments(),
        **connection_arguments(options),
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
    }
    if settings.wait_replicas and settings.wait_timeout >= arguments["socket_timeout"]:
        raise InvalidValueError(
            f"wait_timeout is {settings.wait_timeout:g} seconds, and an answer is given up after timeout, "
            f"{arguments['socket_timeout']:g} seconds; make timeout the greater one"
        )
    tls = [name for name in options if name.startswith("ssl_")]
    if tls and not address.is_encrypted:
        raise InvalidValueError(f"the option {tls[0]} needs TLS; write rediss:// or rediss+cluster://")
    if address.is_cluster:
        return _cluster_at(address, arguments, settings)

    most = arguments.pop("max_connections")

    def make_transport(when_connected: Callable[[], object]) -> ServerTransport:
        make = partial(_connection_class(address), **arguments)
        connections = OwnConnections(make, most, arguments["socket_timeout"], when_connected)
        return ServerTransport(connections, settings, address.label)

    return Store(make_transport, settings, address.label, is_cluster=False, was_given=False)


def _connection_class(address: Address) -> Any:
    if address.scheme == SOCKET:
        return UnixDomainSocketConnection
    return SSLConnection if address.is_encrypted else Connection


def _cluster_at(address: Address, arguments: dict[str, Any], settings: Settings) -> Store:
    def connect() -> RedisCluster:
        nodes = [_ClusterNode(host, port) for host, port in address.places]
        return RedisCluster(startup_nodes=nodes, ssl=address.is_encrypted, **arguments)

    def make_transport(when_connected: Callable[[], object]) -> ClusterTransport:
        return ClusterTransport(connect, settings, address.label, when_connected, owns_client=True)

    return Store(make_transport, settings, address.label, is_cluster=True, was_given=False)


def _store_of(client: Any, options: dict[str, Any]) -> Store:
    _refuse_other_clients(client)
    if isinstance(client, RedisCluster):
        _refuse_decoding(client.nodes_manager.connection_kwargs)
        settings = settings_of(options, _CLUSTER_RETRY_SECONDS)

        def make_cluster(when_connected: Callable[[], object]) -> ClusterTransport:
            return ClusterTransport(lambda: client, settings, _GIVEN_CLUSTER, when_connected, owns_client=False)

        return Store(make_cluster, settings, _GIVEN_CLUSTER, is_cluster=True, was_given=True)
    pool: ConnectionPool = client.connection_pool
    _refuse_decoding(pool.connection_kwargs)
    settings = settings_of(options, _SERVER_RETRY_SECONDS)

    def make_server(when_connected: Callable[[], object]) -> ServerTransport:
        return ServerTransport(PoolConnections(pool, when_connected), settings, _GIVEN)

    return Store(make_server, settings, _GIVEN, is_cluster=False, was_given=True)


def _refuse_other_clients(client: Any) -> None:
    # A pipeline is a subclass of the client that it belongs to, and an asynchronous client has the same name.
    if not isinstance(client, (Redis, RedisCluster)) or isinstance(client, (Pipeline, ClusterPipeline)):
        kind = f"{type(client).__module__}.{type(client).__qualname__}"
        raise InvalidTypeError(f"client is a redis.Redis or a redis.RedisCluster, not a {kind}")


def _refuse_decoding(arguments: dict[str, Any]) -> None:
    if arguments.get("decode_responses"):
        raise InvalidValueError("the client decodes its answers, and ids are bytes; make one without decode_responses")
