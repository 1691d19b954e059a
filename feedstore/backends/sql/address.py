"""Where the database lies: a URL taken apart, with the password kept out of everything that people see."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from sqlalchemy import URL

from feedstore.backends.sql.options import LIBPQ_OPTIONS, POSTGRESQL, SQLITE
from feedstore.errors import InvalidTypeError, InvalidValueError
from feedstore.storage.option_values import parse_query

_DIALECTS = {
    "sqlite": SQLITE,
    "postgresql": POSTGRESQL,
    "postgres": POSTGRESQL,
    "postgresql+psycopg": POSTGRESQL,
}
_DRIVERS = {SQLITE: "sqlite+pysqlite", POSTGRESQL: "postgresql+psycopg"}
_IN_MEMORY = ":memory:"
_SQLITE_FORM = "'sqlite:///relative.db' or 'sqlite:////absolute.db'"
_SERVER_FORM = "'postgresql://user:password@host:port/database'"
_AUTHORITY = re.compile(
    r"(?:(?P<user>[^:@]*)(?::(?P<password>[^@]*))?@)?(?P<host>\[[0-9A-Fa-f:.%]+\]|[^:@\[\]]*)(?::(?P<port>[0-9]{1,5}))?"
)


@dataclass(frozen=True)
class Address:
    """A database: its dialect, the URL that SQLAlchemy takes, and the options that stood in the query.

    ``label`` is for messages: the file's path, or the server and database without a password.
    """

    dialect: str
    url: URL = field(repr=False)
    label: str
    query: dict[str, str] = field(default_factory=dict)


def parse_address(url: str) -> Address:
    """Return the address that a URL describes. Every part may be percent-encoded.

    Raises :class:`InvalidTypeError` for what is no text, and :class:`InvalidValueError` for a URL that cannot be read;
    no message holds a password.
    """
    if not isinstance(url, str):
        raise InvalidTypeError(f"a store's URL is a text such as 'sqlite:///feeds.db', not {type(url).__name__}")
    scheme, separator, rest = url.partition("://")
    dialect = _DIALECTS.get(scheme.lower())
    if dialect is None or not separator:
        raise InvalidValueError(f"the SQL backend serves {_SQLITE_FORM} and {_SERVER_FORM}; the driver is not chosen")
    body, _, query = rest.partition("?")
    if dialect == SQLITE:
        return _sqlite_address(body, parse_query(query))
    return _server_address(body, query)


def _sqlite_address(body: str, query: dict[str, str]) -> Address:
    authority, _, path = body.partition("/")
    path = unquote(path)
    if authority:
        raise InvalidValueError(f"a SQLite URL names no host: write three slashes, {_SQLITE_FORM}")
    if path in ("", _IN_MEMORY) or path.startswith("file:"):
        raise InvalidValueError(
            f"a SQLite URL names a file, {_SQLITE_FORM}; for a store that ends with the process use 'memory://'"
        )
    if "\0" in path:
        raise InvalidValueError("the path in a SQLite URL holds a NUL character, which no file's name can")
    # The folder of today: the file is opened at first use, when the process may stand elsewhere.
    file = str(Path(path).absolute())
    return Address(SQLITE, URL.create(_DRIVERS[SQLITE], database=file), file, query)


def _server_address(body: str, query: str) -> Address:
    authority, _, database = body.partition("/")
    parts = _AUTHORITY.fullmatch(authority)
    if parts is None or "@" in database or "@" in query or "#" in body:
        # Nothing of the URL is repeated: what cannot be taken apart may hold the password anywhere.
        raise InvalidValueError(
            f"cannot read the PostgreSQL URL; it has the form {_SERVER_FORM}, and the characters / ? # : @ of a name "
            "or password are percent-encoded in it"
        )
    host = unquote(parts["host"].strip("[]")) or None
    port = int(parts["port"]) if parts["port"] else None
    name = unquote(database) or None
    user = _decoded(parts["user"])
    address = URL.create(_DRIVERS[POSTGRESQL], user, _decoded(parts["password"]), host, port, name)
    label = f"postgresql://{parts['host']}{'' if port is None else f':{port}'}/{name or ''}"
    return Address(POSTGRESQL, address, label, parse_query(query))


def _decoded(part: str | None) -> str | None:
    return unquote(part) if part else None


def libpq_options(options: dict[str, object]) -> dict[str, object]:
    """Return those options that are handed to the driver as they are."""
    return {name: options[name] for name in LIBPQ_OPTIONS if name in options}
