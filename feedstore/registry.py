"""URL schemes and their backends, which are loaded at their first use."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from typing import Any
from urllib.parse import urlsplit

from feedstore.errors import InvalidTypeError, InvalidValueError, UnknownSchemeError
from feedstore.storage import Backend

ENTRY_POINT_GROUP = "feedstore.backends"
_BUILT_IN = {
    "memory": "feedstore.backends.memory:MemoryBackend",
    "sqlite": "feedstore.backends.sql:SqlBackend",
    "postgresql": "feedstore.backends.sql:SqlBackend",
    "postgres": "feedstore.backends.sql:SqlBackend",
    "postgresql+psycopg": "feedstore.backends.sql:SqlBackend",
    "redis": "feedstore.backends.redis:RedisBackend",
    "rediss": "feedstore.backends.redis:RedisBackend",
    "unix": "feedstore.backends.redis:RedisBackend",
    "redis+cluster": "feedstore.backends.redis:RedisBackend",
    "rediss+cluster": "feedstore.backends.redis:RedisBackend",
    "redis+sentinel": "feedstore.backends.redis:RedisBackend",
    "rediss+sentinel": "feedstore.backends.redis:RedisBackend",
    "cassandra": "feedstore.backends.cassandra:CassandraBackend",
}


def connect(url: str, **options: Any) -> Backend:
    """Return the backend for ``url``, which connects at its first use.

    The scheme chooses: ``memory://``, ``sqlite:///file.db``, ``postgresql://user@host/database``, ``redis://host``,
    ``redis+cluster://host,host``, ``cassandra://host,host/keyspace``, or one of an installed package's entry points in
    the group ``feedstore.backends``. Every backend takes ``namespace=`` (``"default"``) and ``metrics=``; further
    options, which a URL may also carry as its query, are the backend's own; its class documents them.

    Raises :class:`UnknownSchemeError`, which lists the known ones, :class:`MissingDriverError`, which names the extra
    to install, and :class:`InvalidTypeError` for an unknown option.

    >>> with connect("memory://", namespace="app") as backend:
    ...     backend.namespace
    'app'
    """
    backend: Backend = load_backend(scheme_of(url)).from_url(url, **options)
    return backend


def scheme_of(url: str) -> str:
    """Return the scheme of a URL in lower case. Raises an error for a URL without a scheme."""
    if not isinstance(url, str):
        raise InvalidTypeError(f"a store's URL must be a str such as 'sqlite:///feeds.db', not {type(url).__name__}")
    scheme, separator, _ = url.partition("://")
    if not separator or not scheme:
        raise InvalidValueError("a store's URL begins with a scheme, such as 'sqlite:///feeds.db' or 'memory://'")
    return urlsplit(f"{scheme}://").scheme or scheme.lower()


def load_backend(scheme: str) -> Any:
    """Return the backend class of a scheme, and import it if necessary. Built-in classes win over entry points."""
    if scheme in _BUILT_IN:
        module, _, name = _BUILT_IN[scheme].partition(":")
        return getattr(import_module(module), name)
    for entry_point in entry_points(group=ENTRY_POINT_GROUP):
        if entry_point.name == scheme:
            return entry_point.load()
    raise UnknownSchemeError(f"no backend serves {scheme}://; known are {', '.join(known_schemes())}")


def known_schemes() -> list[str]:
    """Return the schemes that :func:`connect` knows, built in and installed, sorted."""
    return sorted({*_BUILT_IN, *(entry_point.name for entry_point in entry_points(group=ENTRY_POINT_GROUP))})
