"""The options of the SQL backend: one table of names, defaults and meanings, the same by URL and by keyword."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from feedstore.errors import InvalidTypeError
from feedstore.shown import shown
from feedstore.storage.backend import DEFAULT_NAMESPACE
from feedstore.storage.option_values import Reader, given_once, read_choice, read_count, read_seconds, read_text

SQLITE = "sqlite"
POSTGRESQL = "postgresql"
_BOTH = (SQLITE, POSTGRESQL)


@dataclass(frozen=True)
class Option:
    """One option: what it is called, where it means something, its default, and how a value is read and checked."""

    name: str
    dialects: tuple[str, ...]
    default: Any
    read: Reader
    meaning: str


OPTIONS = {
    option.name: option
    for option in (
        Option("namespace", _BOTH, DEFAULT_NAMESPACE, read_text, "the namespace: A-Z a-z 0-9 _ -, 1 to 48 of them"),
        Option(
            "schema",
            _BOTH,
            None,
            read_choice("migrate", "check", "ignore"),
            "what opening does about the schema: bring it up to date, only check it, or take it as it is; by default "
            "SQLite is brought up to date, and a server only while its database has no schema yet",
        ),
        Option("busy_timeout", (SQLITE,), 30.0, read_seconds(), "seconds to wait for another writer's lock"),
        Option(
            "synchronous",
            (SQLITE,),
            "normal",
            read_choice("normal", "full"),
            "normal: the last commits before a power cut may be lost, never a part of one; full: none is, and each "
            "waits for the disk; a process that is killed loses nothing either way",
        ),
        Option("cache_size", (SQLITE,), 64, read_count(1, 65_536), "MiB of pages that each connection may keep"),
        Option("pool_size", (POSTGRESQL,), 10, read_count(1, 10_000), "connections that may be open at once"),
        Option("pool_timeout", (POSTGRESQL,), 30.0, read_seconds(), "seconds to wait for one of them to be free"),
        Option("connect_timeout", (POSTGRESQL,), 10.0, read_seconds(), "seconds to wait for a new connection"),
        Option("statement_timeout", (POSTGRESQL,), 60.0, read_seconds(), "seconds that one statement may take"),
        Option(
            "pooler",
            (POSTGRESQL,),
            "detect",
            read_choice("detect", "none", "session", "transaction"),
            "the pooler in front of the server and its mode: behind one in transaction mode nothing is prepared and "
            "nothing is set for the session; detect: each new connection is asked, and behind any pooler used so",
        ),
        Option(
            "listen_url",
            (POSTGRESQL,),
            None,
            read_text,
            "the URL of the server itself, at which changes are received where a pooler cannot pass them on",
        ),
    )
}
# What remains to be said where the engine was made by someone else.
ENGINE_OPTIONS = ("namespace", "schema")
# What names the server's address and its certificates is libpq's own and handed to it as it is.
LIBPQ_OPTIONS = (
    "application_name",
    "channel_binding",
    "gssencmode",
    "host",
    "hostaddr",
    "krbsrvname",
    "passfile",
    "port",
    "require_auth",
    "service",
    "sslcert",
    "sslcrl",
    "sslkey",
    "sslmode",
    "sslnegotiation",
    "sslrootcert",
    "target_session_attrs",
)


def read_options(dialect: str, query: Mapping[str, str], keywords: Mapping[str, object]) -> dict[str, Any]:
    """Return every option of a dialect, from a URL's query, the keywords and the defaults, read and checked.

    Raises :class:`InvalidTypeError` for an unknown one, or one that means nothing here, and
    :class:`InvalidValueError` for a bad value or one that is given twice.
    """
    given = given_once(query, keywords)
    options: dict[str, Any] = {}
    for name, value in given.items():
        if dialect == POSTGRESQL and name in LIBPQ_OPTIONS:
            options[name] = read_text(name, value)
        else:
            options[name] = _known_option(dialect, name).read(name, value)
    defaults = {name: option.default for name, option in OPTIONS.items() if dialect in option.dialects}
    return {**defaults, **options}


def _known_option(dialect: str, name: str) -> Option:
    option = OPTIONS.get(name)
    if option is None:
        known = [option.name for option in OPTIONS.values() if dialect in option.dialects]
        raise InvalidTypeError(f"unknown option {shown(name)}; {dialect} takes {', '.join(known)}")
    if dialect not in option.dialects:
        raise InvalidTypeError(f"the option {name} is for {' and '.join(option.dialects)}, not for {dialect}")
    return option
