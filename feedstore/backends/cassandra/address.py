"""Where a Cassandra lies: a URL taken apart, with the password kept out of everything that people see."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import unquote

from feedstore.errors import InvalidTypeError, InvalidValueError
from feedstore.storage.option_values import parse_query

SCHEME = "cassandra"
_FORM = "'cassandra://user:password@host1:9042,host2/keyspace'"
_HOST = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%]+\]|[^:@\[\],]+)(?::(?P<port>[0-9]{1,5}))?")
_KEYSPACE = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,47}", re.ASCII)
_PORT = 9042
_LAST_PORT = 65_535


@dataclass(frozen=True)
class Address:
    """The first nodes of a cluster, the keyspace, who asks, and the options that stood in the query.

    ``label`` is for messages: the places without user and password.
    """

    places: list[tuple[str, int]]
    keyspace: str
    credentials: dict[str, str] = field(repr=False)
    label: str
    query: dict[str, str] = field(repr=False)


def parse_address(url: str) -> Address:
    """Return the address that a URL describes. Every part may be percent-encoded.

    Raises :class:`InvalidTypeError` for what is no text, and :class:`InvalidValueError` for a URL that cannot be read;
    no message holds a password.
    """
    if not isinstance(url, str):
        raise InvalidTypeError(f"a store's URL is a text such as {_FORM}, not {type(url).__name__}")
    scheme, separator, rest = url.partition("://")
    if scheme.lower() != SCHEME or not separator:
        raise InvalidValueError(f"the Cassandra backend serves {_FORM}")
    body, _, query = rest.partition("?")
    authority, _, path = body.partition("/")
    if "@" in path or "#" in body or "@" in query:
        raise _unreadable()
    credentials, hosts = _credentials(authority)
    places = [_place(text) for text in hosts.split(",")]
    keyspace = check_keyspace(unquote(path))
    label = f"{SCHEME}://" + ",".join(f"{host}:{port}" for host, port in places) + f"/{keyspace}"
    return Address(places, keyspace, credentials, label, parse_query(query))


def check_keyspace(keyspace: object) -> str:
    """Return the name of a keyspace, or raise unless it is one: a letter, and up to 47 letters, digits and _."""
    if not isinstance(keyspace, str) or not _KEYSPACE.fullmatch(keyspace):
        raise InvalidValueError(
            f"the keyspace {keyspace!r} is not a letter and up to 47 letters, digits and _; the URL is {_FORM}"
        )
    return keyspace


def _credentials(authority: str) -> tuple[dict[str, str], str]:
    before, separator, hosts = authority.rpartition("@")
    if "@" in before:
        raise _unreadable()
    user, has_password, password = before.partition(":")
    if not separator:
        return {}, hosts
    if not user or not has_password:
        raise InvalidValueError(f"credentials are a name and a password, both in the URL: {_FORM}")
    return {"username": unquote(user), "password": unquote(password)}, hosts


def _place(text: str) -> tuple[str, int]:
    parts = _HOST.fullmatch(text)
    port = int(parts["port"] or _PORT) if parts else 0
    if parts is None or not 0 < port <= _LAST_PORT:
        raise _unreadable()
    return unquote(parts["host"].strip("[]")), port


def _unreadable() -> InvalidValueError:
    # Nothing of the URL is repeated: what cannot be taken apart may hold the password anywhere.
    return InvalidValueError(
        f"cannot read the Cassandra URL; its form is {_FORM}, and the characters / ? # : @ of a name or password are "
        "percent-encoded in it"
    )
