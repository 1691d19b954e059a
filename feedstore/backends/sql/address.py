"""The address of a database: its URL, parsed."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from sqlalchemy import URL

from feedstore.backends.server_url import ServerUrl, UrlForm, percent_decoded
from feedstore.backends.sql.options import LIBPQ_OPTIONS, POSTGRESQL, SQLITE
from feedstore.errors import InvalidValueError
from feedstore.options import parse_query
from feedstore.shown import shown

_DIALECTS = {
    "sqlite": SQLITE,
    "postgresql": POSTGRESQL,
    "postgres": POSTGRESQL,
    "postgresql+psycopg": POSTGRESQL,
}
_DRIVERS = {SQLITE: "sqlite+pysqlite", POSTGRESQL: "postgresql+psycopg"}
_IN_MEMORY = ":memory:"
_SQLITE_FORM = "'sqlite:///relative.db' or 'sqlite:////absolute.db'"
_LAST_PORT = 65_535
_SERVER_FORM = "'postgresql://user:password@host:port/database'"
_FORM = UrlForm("SQL", f"{_SQLITE_FORM}, or {_SERVER_FORM}", frozenset(_DIALECTS))
# libpq takes several of these, separated by commas.
_PLACE = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%]+\]|[^:@\[\],]*)(?::(?P<port>[0-9]{1,5}))?")


@dataclass(frozen=True)
class Address:
    """A database: its dialect, the URL that SQLAlchemy takes, and the options that stood in the query.

    ``libpq`` holds the ports of several hosts, which SQLAlchemy's URL cannot say. ``label`` is for messages: the file's
    path, or the server and database without a password.
    """

    dialect: str
    url: URL = field(repr=False)
    label: str
    query: dict[str, str] = field(default_factory=dict)
    libpq: dict[str, str] = field(default_factory=dict)


def parse_address(url: str) -> Address:
    """Return the address that a URL describes. Every part may be percent-encoded.

    It raises the errors of :meth:`ServerUrl.parse`. No message holds a password.
    """
    scheme, body, query = _FORM.split(url)
    if _DIALECTS[scheme] == SQLITE:
        return _sqlite_address(body, parse_query(query))
    return _server_address(ServerUrl.parse(url, _FORM))


def _sqlite_address(body: str, query: dict[str, str]) -> Address:
    authority, _, path = body.partition("/")
    try:
        path = unquote(path, errors="strict")
    except UnicodeDecodeError:
        raise InvalidValueError(
            f"the path {shown(path)} in a SQLite URL is not UTF-8 once its percent signs are decoded; SQLite names "
            "files in UTF-8, so rename the file or open it through a link"
        ) from None
    if authority:
        raise InvalidValueError(f"a SQLite URL names no host: write three slashes, {_SQLITE_FORM}")
    if path in ("", _IN_MEMORY) or path.startswith("file:"):
        raise InvalidValueError(
            f"a SQLite URL names a file, {_SQLITE_FORM}; for a store that ends with the process use 'memory://'"
        )
    if "\0" in path:
        raise InvalidValueError("the path in a SQLite URL holds a NUL character, which no file's name can")
    # Absolute: the file is opened at first use, when the process may have another working directory.
    file = str(Path(path).absolute())
    return Address(SQLITE, URL.create(_DRIVERS[SQLITE], database=file), file, query)


def _server_address(parts: ServerUrl) -> Address:
    places = [_PLACE.fullmatch(text) for text in parts.hosts.split(",")]
    found = [place for place in places if place is not None]
    if len(found) < len(places):
        raise _FORM.unreadable()
    hosts = ",".join(percent_decoded(place["host"].strip("[]")) for place in found) or None
    ports = [place["port"] or "" for place in found]
    if any(port and not 1 <= int(port) <= _LAST_PORT for port in ports):
        raise InvalidValueError(f"the port in the URL must lie between 1 and {_LAST_PORT}")
    port = int(ports[0]) if len(ports) == 1 and ports[0] else None
    libpq = {"port": ",".join(ports)} if len(ports) > 1 and any(ports) else {}
    name = parts.path or None
    user, password = map(parts.credentials.get, ("username", "password"))
    address = URL.create(_DRIVERS[POSTGRESQL], user, password, hosts, port, name)
    return Address(POSTGRESQL, address, f"postgresql://{parts.hosts}/{name or ''}", parts.query, libpq)


def libpq_options(options: dict[str, object]) -> dict[str, object]:
    """Return the options that the driver takes as they are."""
    return {name: options[name] for name in LIBPQ_OPTIONS if name in options}
