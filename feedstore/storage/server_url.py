"""The URL of a store taken apart, with the password kept out of everything that people see."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import unquote

from feedstore.errors import InvalidTypeError, InvalidValueError
from feedstore.options import parse_query

_PLACE = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%]+\]|[^:@\[\],]*)(?::(?P<port>[0-9]{1,5}))?")
_LAST_PORT = 65_535
Place = tuple[str, int]
"""A host, without the brackets of an IPv6 address, and a port."""


@dataclass(frozen=True)
class UrlForm:
    """What the URLs of a backend look like: the ``forms`` that errors show, and the schemes that they begin with."""

    backend: str
    forms: str
    schemes: frozenset[str]

    def split(self, url: object) -> tuple[str, str, str]:
        """Return the scheme in lower case, what lies between it and the query, and the query.

        Raises :class:`InvalidTypeError` for what is no text, and :class:`InvalidValueError` for another scheme; no
        message holds a password.
        """
        if not isinstance(url, str):
            raise InvalidTypeError(f"a store's URL must be a str such as {self.forms}, not {type(url).__name__}")
        scheme, separator, rest = url.partition("://")
        if scheme.lower() not in self.schemes or not separator:
            raise InvalidValueError(f"the {self.backend} backend serves {self.forms}")
        body, _, query = rest.partition("?")
        return scheme.lower(), body, query

    def unreadable(self) -> InvalidValueError:
        """Return the error for a URL that cannot be taken apart."""
        # Nothing of the URL is repeated: it may hold the password anywhere.
        return InvalidValueError(
            f"cannot read the URL of the {self.backend} backend; it is {self.forms}, and the characters / ? # : @ of a "
            "name or password are percent-encoded in it"
        )


@dataclass(frozen=True)
class ServerUrl:
    """Who asks (``username`` and ``password``, those that are given), the hosts as they stood in the URL, and its path
    and the options of its query, percent-decoded.
    """

    form: UrlForm
    scheme: str
    credentials: dict[str, str] = field(repr=False)
    hosts: str
    path: str
    query: dict[str, str] = field(repr=False)

    @classmethod
    def parse(cls, url: object, form: UrlForm) -> ServerUrl:
        """Take a server's URL apart. Raises what :meth:`UrlForm.split` does, also for a URL that cannot be read."""
        scheme, body, query = form.split(url)
        authority, _, path = body.partition("/")
        before, _, hosts = authority.rpartition("@")
        if "@" in before or "@" in path or "@" in query or "#" in body:
            raise form.unreadable()
        user, _, password = before.partition(":")
        given = {"username": percent_decoded(user), "password": percent_decoded(password)}
        credentials = {name: value for name, value in given.items() if value}
        return cls(form, scheme, credentials, hosts, percent_decoded(path), parse_query(query))

    def places(self, port: int, host: str = "") -> list[Place]:
        """Return the hosts, which commas separate, with ``port`` and ``host`` for what is left out."""
        return [self._place(text, port, host) for text in self.hosts.split(",")]

    def _place(self, text: str, port: int, host: str) -> Place:
        parts = _PLACE.fullmatch(text)
        if parts is None:
            raise self.form.unreadable()
        given = int(parts["port"]) if parts["port"] else port
        if not 1 <= given <= _LAST_PORT:
            raise InvalidValueError(f"the port of a server lies between 1 and {_LAST_PORT}")
        name = percent_decoded(parts["host"].strip("[]")) or host
        if not _can_be_resolved(name):
            raise self.form.unreadable()
        return name, given


def percent_decoded(text: str) -> str:
    """Return a part of a URL, percent-decoded. Raises :class:`InvalidValueError` for bytes that are not UTF-8."""
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        # The part is not repeated: it may be the password.
        raise InvalidValueError(
            "a user, password, host or path of the URL is not UTF-8 once its percent signs are decoded; percent-encode "
            "the bytes of its UTF-8 form, such as %C3%A9 for é"
        ) from None


def _can_be_resolved(host: str) -> bool:
    try:
        return bool(host.encode("idna"))
    except UnicodeError:
        return False


def place_of_text(text: str) -> tuple[str, int | None] | None:
    """Return the host and the port, None without one, of ``host``, ``host:port`` or ``[IPv6 address]:port``; None for a
    text of another form.
    """
    parts = _PLACE.fullmatch(text)
    if parts is None:
        return None
    port = int(parts["port"]) if parts["port"] else None
    if port is not None and not 1 <= port <= _LAST_PORT:
        return None
    return percent_decoded(parts["host"].strip("[]")), port


def text_of_places(places: list[Place]) -> str:
    """Return hosts and ports as they stand in a URL."""
    return ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in places)
