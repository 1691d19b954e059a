"""The address of a Redis: its URL, parsed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from feedstore.backends.server_url import Place, ServerUrl, UrlForm, text_of_places
from feedstore.errors import InvalidValueError

SERVER, TLS, SOCKET, CLUSTER, TLS_CLUSTER = "redis", "rediss", "unix", "redis+cluster", "rediss+cluster"
SENTINEL, TLS_SENTINEL = "redis+sentinel", "rediss+sentinel"
_FORM = UrlForm(
    "Redis",
    "'redis://user:password@host:port/database', 'rediss://…' (TLS), 'unix:///path/of/socket?db=0', "
    "'redis+cluster://host:port,host:port' or 'redis+sentinel://host:port,host:port/service/database'",
    frozenset((SERVER, TLS, SOCKET, CLUSTER, TLS_CLUSTER, SENTINEL, TLS_SENTINEL)),
)
_PORT = 6379
_SENTINEL_PORT = 26379
_MOST_DATABASE_DIGITS = 9


@dataclass(frozen=True)
class Address:
    """A server, the first nodes of a Cluster, or Sentinels.

    Attributes:
        scheme: The scheme of the URL.
        places: The hosts and ports of the server, the nodes or the Sentinels. Empty for a socket.
        path: The path of a socket.
        service: The service that the Sentinels watch.
        database: The number of the database.
        credentials: The user name and the password.
        label: The places and the database without user name and password, for messages.
        query: The options of the URL's query.
    """

    scheme: str
    places: list[Place]
    path: str
    service: str
    database: int
    credentials: dict[str, str] = field(repr=False)
    label: str
    query: dict[str, str] = field(repr=False)

    @property
    def is_cluster(self) -> bool:
        """Whether the URL names a Cluster."""
        return self.scheme in (CLUSTER, TLS_CLUSTER)

    @property
    def is_sentinel(self) -> bool:
        """Whether Sentinels name the server."""
        return self.scheme in (SENTINEL, TLS_SENTINEL)

    @property
    def is_encrypted(self) -> bool:
        """Whether connections use TLS."""
        return self.scheme in (TLS, TLS_CLUSTER, TLS_SENTINEL)

    def connection_arguments(self) -> dict[str, Any]:
        """Return the arguments of redis-py's connections. With several places, the host and port are not among them."""
        arguments: dict[str, Any] = dict(self.credentials)
        if self.scheme == SOCKET:
            arguments["path"] = self.path
        elif self.scheme in (SERVER, TLS):
            arguments["host"], arguments["port"] = self.places[0]
        if not self.is_cluster:
            arguments["db"] = self.database
        return arguments


def parse_address(url: str) -> Address:
    """Return the address that a URL describes. Every part may be percent-encoded.

    It raises the errors of :meth:`ServerUrl.parse`. No message holds a password.
    """
    parts = ServerUrl.parse(url, _FORM)
    if parts.scheme == SOCKET:
        return _socket_address(parts)
    if parts.scheme in (SENTINEL, TLS_SENTINEL):
        return _sentinel_address(parts)
    places = parts.places(_PORT, "localhost")
    label = f"{parts.scheme}://{text_of_places(places)}"
    if parts.scheme in (CLUSTER, TLS_CLUSTER):
        if parts.path:
            raise InvalidValueError("a Redis Cluster has no databases; remove the path from the URL")
        return Address(parts.scheme, places, "", "", 0, parts.credentials, label, parts.query)
    if len(places) > 1:
        raise InvalidValueError("a redis:// URL has one host; use redis+cluster:// for the hosts of a Cluster")
    database = _database(parts.path)
    return Address(parts.scheme, places, "", "", database, parts.credentials, f"{label}/{database}", parts.query)


def _sentinel_address(parts: ServerUrl) -> Address:
    service, _, database_text = parts.path.partition("/")
    if not service:
        raise InvalidValueError(
            "the URL of Sentinels must name the service that they watch: 'redis+sentinel://host:port,host:port/service'"
        )
    places, database = parts.places(_SENTINEL_PORT, "localhost"), _database(database_text)
    label = f"{parts.scheme}://{text_of_places(places)}/{service}/{database}"
    return Address(parts.scheme, places, "", service, database, parts.credentials, label, parts.query)


def _socket_address(parts: ServerUrl) -> Address:
    if parts.hosts or not parts.path:
        raise InvalidValueError("the URL of a socket must have a path and no host, with three slashes: 'unix:///path'")
    query = dict(parts.query)
    database, path = _database(query.pop("db", "")), f"/{parts.path}"
    return Address(SOCKET, [], path, "", database, parts.credentials, f"unix://{path}?db={database}", query)


def _database(text: str) -> int:
    if text and not (text.isascii() and text.isdigit() and len(text) <= _MOST_DATABASE_DIGITS):
        raise InvalidValueError("the database of a Redis URL must be a number, such as in redis://localhost/0")
    return int(text or 0)
