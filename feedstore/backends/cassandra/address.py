"""Where a Cassandra lies."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from feedstore.errors import InvalidValueError
from feedstore.shown import shown
from feedstore.storage.server_url import Place, ServerUrl, UrlForm, text_of_places

SCHEME = "cassandra"
_FORM = UrlForm("Cassandra", "'cassandra://user:password@host1:9042,host2/keyspace'", frozenset((SCHEME,)))
_KEYSPACE = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,47}", re.ASCII)
_PORT = 9042


@dataclass(frozen=True)
class Address:
    """The first nodes of a cluster, the keyspace, who asks, and the options that stood in the query.

    ``label`` is for messages: the places without user and password.
    """

    places: list[Place]
    keyspace: str
    credentials: dict[str, str] = field(repr=False)
    label: str
    query: dict[str, str] = field(repr=False)


def parse_address(url: str) -> Address:
    """Return the address that a URL describes. Every part may be percent-encoded.

    Raises what :meth:`ServerUrl.parse` does; no message holds a password.
    """
    parts = ServerUrl.parse(url, _FORM)
    places = parts.places(_PORT)
    keyspace = check_keyspace(parts.path)
    if len(parts.credentials) == 1:
        raise InvalidValueError(f"credentials are a name and a password, both in the URL: {_FORM.forms}")
    return Address(places, keyspace, parts.credentials, f"{SCHEME}://{text_of_places(places)}/{keyspace}", parts.query)


def check_keyspace(keyspace: object) -> str:
    """Return the name of a keyspace, or raise unless it is one: a letter, and up to 47 letters, digits and _."""
    if not isinstance(keyspace, str) or not _KEYSPACE.fullmatch(keyspace):
        raise InvalidValueError(
            f"the keyspace {shown(keyspace)} is not a letter and up to 47 letters, digits and _; the URL is "
            f"{_FORM.forms}"
        )
    return keyspace
