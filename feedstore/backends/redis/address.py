"""Where a Redis lies: a URL taken apart, with the password kept out of everything that people see."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from feedstore.errors import InvalidTypeError, InvalidValueError
from feedstore.storage.option_values import parse_query

SERVER, TLS, SOCKET, CLUSTER, TLS_CLUSTER = "redis", "rediss", "unix", "redis+cluster", "rediss+cluster"
_SCHEMES = (SERVER, TLS, SOCKET, CLUSTER, TLS_CLUSTER)
_FORM = (
    "'redis://user:password@host:port/database', 'rediss://…' (TLS), 'unix:///path/of/socket?db=0' or "
    "'redis+cluster://host:port,host:port'"
)
_HOST = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%]+\]|[^:@\[\],]*)(?::(?P<port>[0-9]{1,5}))?")
_PORT = 6379
_LAST_PORT = 65_535


@dataclass(frozen=True)
class Address:
    """A server or the first nodes of a Cluster, who asks, and the options that stood in the query.

    ``label`` is for messages: the places without user and password.
    """

    scheme: str
    places: list[tuple[str, int]]
    path: str
    database: int
    credentials: dict[str, str] = field(repr=False)
    label: str
    query: dict[str, str] = field(repr=False)

    @property
    def is_cluster(self) -> bool:
        """Whether it is a Cluster."""
        return self.scheme in (CLUSTER, TLS_CLUSTER)

    @property
    def is_encrypted(self) -> bool:
        """Whether TLS is spoken."""
        return self.scheme in (TLS, TLS_CLUSTER)

    def connection_arguments(self) -> dict[str, Any]:
        """Return what redis-py's connections need to know of the address."""
        arguments: dict[str, Any] = dict(self.credentials)
        if self.scheme == SOCKET:
            arguments["path"] = self.path
        elif not self.is_cluster:
            arguments["host"], arguments["port"] = self.places[0]
        if not self.is_cluster:
            arguments["db"] = self.database
        return arguments


def parse_address(url: str) -> Address:
    """Return the address that a URL describes. Every part may be percent-encoded.

    Raises :class:`InvalidTypeError` for what is no text, and :class:`InvalidValueError` for a URL that cannot be read;
    no message holds a password.
    """
    if not isinstance(url, str):
        raise InvalidTypeError(f"a store's URL is a text such as 'redis://localhost', not {type(url).__name__}")
    scheme, separator, rest = url.partition("://")
    scheme = scheme.lower()
    if scheme not in _SCHEMES or not separator:
        raise InvalidValueError(f"the Redis backend serves {_FORM}")
    body, _, query_text = rest.partition("?")
    query = parse_query(query_text)
    authority, _, path = body.partition("/")
    credentials, hosts = _credentials(authority)
    if "@" in path or "#" in body or "@" in query_text:
        raise _unreadable()
    if scheme == SOCKET:
        return _socket_address(hosts, path, credentials, query)
    places = _places(hosts)
    label = f"{scheme}://" + ",".join(map(_place_text, places))
    if scheme in (CLUSTER, TLS_CLUSTER):
        if path:
            raise InvalidValueError("a Redis Cluster has no databases; leave the path out of its URL")
        return Address(scheme, places, "", 0, credentials, label, query)
    if len(places) > 1:
        raise InvalidValueError("several hosts make a Cluster; use redis+cluster://")
    return Address(scheme, places, "", _database(path), credentials, label, query)


def _socket_address(hosts: str, path: str, credentials: dict[str, str], query: dict[str, str]) -> Address:
    if hosts or not path:
        raise InvalidValueError("the URL of a socket names its path alone, behind three slashes: 'unix:///path'")
    database = _database(query.pop("db", ""))
    return Address(SOCKET, [], "/" + unquote(path), database, credentials, f"unix:///{unquote(path)}", query)


def _credentials(authority: str) -> tuple[dict[str, str], str]:
    before, separator, hosts = authority.rpartition("@")
    if "@" in before:
        raise _unreadable()
    user, _, password = before.partition(":")
    found = {"username": unquote(user), "password": unquote(password)} if separator else {}
    return {name: value for name, value in found.items() if value}, hosts


def _places(hosts: str) -> list[tuple[str, int]]:
    places = []
    for text in hosts.split(","):
        parts = _HOST.fullmatch(text)
        if parts is None:
            raise _unreadable()
        host = unquote(parts["host"].strip("[]")) or "localhost"
        port = int(parts["port"]) if parts["port"] else _PORT
        if not 1 <= port <= _LAST_PORT:
            raise InvalidValueError(f"the port of a Redis URL lies between 1 and {_LAST_PORT}")
        places.append((host, port))
    return places


def _place_text(place: tuple[str, int]) -> str:
    host, port = place
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _database(text: str) -> int:
    if (text and not text.isascii()) or (text and not text.isdigit()):
        raise InvalidValueError("the database of a Redis URL is a number, such as redis://localhost/0")
    return int(text or 0)


def _unreadable() -> InvalidValueError:
    # Nothing of the URL is repeated: what cannot be taken apart may hold the password anywhere.
    return InvalidValueError(
        f"cannot read the Redis URL; its forms are {_FORM}, and the characters / ? # : @ of a name or password are "
        "percent-encoded in it"
    )
