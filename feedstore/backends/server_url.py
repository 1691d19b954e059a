"""The parser of stores' URLs. No message of its errors repeats a password."""

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
    """The form of a backend's URLs: the ``forms`` that errors show, and the schemes."""

    backend: str
    forms: str
    schemes: frozenset[str]

    def split(self, url: object) -> tuple[str, str, str]:
        """Return the scheme in lower case, the part between the scheme and the query, and the query.

        Raises:
            InvalidTypeError: The URL is not a str.
            InvalidValueError: The URL has another scheme.
        """
        if not isinstance(url, str):
            raise InvalidTypeError(f"a store's URL must be a str such as {self.forms}, not {type(url).__name__}")
        scheme, separator, rest = url.partition("://")
        if scheme.lower() not in self.schemes or not separator:
            raise InvalidValueError(f"the URL has no scheme of the {self.backend} backend; pass {self.forms}")
        body, _, query = rest.partition("?")
        return scheme.lower(), body, query

    def unreadable(self) -> InvalidValueError:
        """Return the error for a URL that cannot be parsed."""
        # The message repeats no part of the URL, because each part may hold the password.
        return InvalidValueError(
            f"cannot read the URL of the {self.backend} backend; pass {self.forms}, and percent-encode / ? # : @ in "
            "user names and passwords"
        )


@dataclass(frozen=True)
class ServerUrl:
    """A server's URL, parsed.

    Attributes:
        form: The form of the backend's URLs.
        scheme: The scheme in lower case.
        credentials: ``username`` and ``password``, those that the URL has, percent-decoded.
        hosts: The hosts as the URL has them.
        path: The path without its first slash, percent-decoded.
        query: The options of the query, percent-decoded.
    """

    form: UrlForm
    scheme: str
    credentials: dict[str, str] = field(repr=False)
    hosts: str
    path: str
    query: dict[str, str] = field(repr=False)

    @classmethod
    def parse(cls, url: object, form: UrlForm) -> ServerUrl:
        """Parse a server's URL. It raises the errors of :meth:`UrlForm.split`, also for a damaged URL."""
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
        """Return the hosts, which commas separate in the URL. ``port`` and ``host`` replace missing parts."""
        return [self._place(text, port, host) for text in self.hosts.split(",")]

    def _place(self, text: str, port: int, host: str) -> Place:
        parts = _PLACE.fullmatch(text)
        if parts is None:
            raise self.form.unreadable()
        given = int(parts["port"]) if parts["port"] else port
        if not 1 <= given <= _LAST_PORT:
            # The message does not repeat the port, which is a password if the URL lacks its host.
            raise InvalidValueError(f"the port in the URL must lie between 1 and {_LAST_PORT}")
        name = percent_decoded(parts["host"].strip("[]")) or host
        if not _can_be_resolved(name):
            raise self.form.unreadable()
        return name, given


def percent_decoded(text: str) -> str:
    """Return a part of a URL, percent-decoded. Raises :class:`InvalidValueError` for bytes that are not UTF-8."""
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        # The message does not repeat the part, which may be the password.
        raise InvalidValueError(
            "a user, password, host or path of the URL is not UTF-8 after percent-decoding; percent-encode its UTF-8 "
            "bytes, such as %C3%A9 for é"
        ) from None


def _can_be_resolved(host: str) -> bool:
    try:
        return bool(host.encode("idna"))
    except UnicodeError:
        return False


def place_of_text(text: str) -> tuple[str, int | None] | None:
    """Return the host and the port in ``host``, ``host:port`` or ``[IPv6 address]:port``.

    The port is None if the str has none. The result is None for a str of another form.
    """
    parts = _PLACE.fullmatch(text)
    if parts is None:
        return None
    port = int(parts["port"]) if parts["port"] else None
    if port is not None and not 1 <= port <= _LAST_PORT:
        return None
    return percent_decoded(parts["host"].strip("[]")), port


def text_of_places(places: list[Place]) -> str:
    """Return hosts and ports in the form of a URL."""
    return ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in places)
