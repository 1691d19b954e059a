"""The options of the SQL backend: one table of names, defaults and meanings, the same by URL and by keyword."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from feedstore.errors import InvalidTypeError
from feedstore.options import Option, OptionTable, given_once, read_choice, read_count, read_seconds, read_text
from feedstore.storage.session import DEFAULT_NAMESPACE

SQLITE = "sqlite"
POSTGRESQL = "postgresql"
_BOTH = (SQLITE, POSTGRESQL)

OPTIONS = OptionTable(
    "SQL",
    (
        Option("namespace", DEFAULT_NAMESPACE, read_text, "the namespace: A-Z a-z 0-9 _ -, 1 to 48 of them", _BOTH),
        Option(
            "schema",
            None,
            read_choice("migrate", "check", "ignore"),
            "whether opening migrates the schema, only checks it, or ignores it; by default SQLite is migrated, and a "
            "server only if its database has no schema yet",
            _BOTH,
        ),
        Option("busy_timeout", 30.0, read_seconds(), "seconds to wait for another writer's lock", (SQLITE,)),
        Option(
            "synchronous",
            "normal",
            read_choice("normal", "full"),
            "normal: a power cut may lose the last commits, never a part of one; full: it loses none, and each commit "
            "waits for the disk; a killed process loses nothing in both modes",
            (SQLITE,),
        ),
        Option("cache_size", 64, read_count(1, 65_536), "MiB of pages that each connection may keep", (SQLITE,)),
        Option("pool_size", 10, read_count(1, 10_000), "the largest number of open connections", (POSTGRESQL,)),
        Option("pool_timeout", 30.0, read_seconds(), "seconds to wait for a free connection", (POSTGRESQL,)),
        Option("connect_timeout", 10.0, read_seconds(), "seconds to wait for a new connection", (POSTGRESQL,)),
        Option("statement_timeout", 60.0, read_seconds(), "seconds that one statement may take", (POSTGRESQL,)),
        Option(
            "pooler",
            "detect",
            read_choice("detect", "none", "session", "transaction"),
            "the pooler in front of the server and its mode; in transaction mode no statement is prepared and no "
            "setting is made for the session; detect: each new connection is checked, and transaction mode is assumed",
            (POSTGRESQL,),
        ),
        Option(
            "listen_url",
            None,
            read_text,
            "the URL of the server itself, for receiving changes if a pooler does not forward them",
            (POSTGRESQL,),
        ),
    ),
)
# The options that are allowed with an engine that was handed in.
ENGINE_OPTIONS = ("namespace", "schema")
# The options of the server's address and certificates, which libpq gets as they are.
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
    """Return every option of a dialect, from a URL's query, the keywords and the defaults, checked.

    Raises:
        InvalidTypeError: An option is unknown, or the dialect does not have it.
        InvalidValueError: An option has a bad value, or is given twice.
    """
    given = given_once(query, keywords)
    libpq: dict[str, object] = {}
    if dialect == POSTGRESQL:
        libpq = {name: read_text(name, given.pop(name)) for name in LIBPQ_OPTIONS if name in given}
    table = OPTIONS.of_dialect(dialect)
    for name in given:
        if name in OPTIONS and name not in table:
            raise InvalidTypeError(
                f"the option {name} is for {' and '.join(OPTIONS[name].dialects)}, not for {dialect}; leave it out"
            )
    return {**table.defaults, **table.read(given), **libpq}
