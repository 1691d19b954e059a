"""The address of a Cassandra cluster: its URL, parsed."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from feedstore.backends.server_url import Place, ServerUrl, UrlForm, text_of_places
from feedstore.errors import InvalidValueError
from feedstore.shown import shown

SCHEME = "cassandra"
_FORM = UrlForm("Cassandra", "'cassandra://user:password@host1:9042,host2/keyspace'", frozenset((SCHEME,)))
_KEYSPACE = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,47}", re.ASCII)
_PORT = 9042


@dataclass(frozen=True)
class Address:
    """The contact points of a cluster, the keyspace, the credentials, and the options of the URL's query.

    ``label`` is for messages: the places without user and password.
    """

    places: list[Place]
    keyspace: str
    credentials: dict[str, str] = field(repr=False)
    label: str
    query: dict[str, str] = field(repr=False)


def parse_address(url: str) -> Address:
    """Return the address that a URL describes. Every part may be percent-encoded.

    It raises the errors of :meth:`ServerUrl.parse`. No message holds a password.
    """
    parts = ServerUrl.parse(url, _FORM)
    places = parts.places(_PORT)
    keyspace = check_keyspace(parts.path)
    if len(parts.credentials) == 1:
        raise InvalidValueError(f"a Cassandra URL has both a user name and a password, or neither: {_FORM.forms}")
    return Address(places, keyspace, parts.credentials, f"{SCHEME}://{text_of_places(places)}/{keyspace}", parts.query)


def check_keyspace(keyspace: object) -> str:
    """Return the name of a keyspace.

    It raises InvalidValueError unless the name is a letter with up to 47 letters, digits and _ after it.
    """
    if not isinstance(keyspace, str) or not _KEYSPACE.fullmatch(keyspace):
        raise InvalidValueError(
            f"the keyspace {shown(keyspace)} must begin with a letter, with up to 47 letters, digits and _ after it; "
            f"the URL is {_FORM.forms}"
        )
    return keyspace
