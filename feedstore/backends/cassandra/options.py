"""The options of the Cassandra backend: one table of names, defaults and meanings, the same by URL and by keyword."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cassandra import ConsistencyLevel

from feedstore.backends.cassandra.replication import Replication, read_replication
from feedstore.errors import InvalidTypeError
from feedstore.shown import shown
from feedstore.storage.backend import DEFAULT_NAMESPACE
from feedstore.storage.option_values import (
    Reader,
    given_once,
    read_choice,
    read_count,
    read_flag,
    read_seconds,
    read_text,
)

_LEVELS = ("one", "two", "three", "quorum", "all", "local_quorum", "each_quorum", "local_one")
_MODES = ("migrate", "check", "ignore")


@dataclass(frozen=True)
class Settings:
    """The options that requests go by, whoever made the session."""

    consistency: int
    trim_consistency: int
    timeout: float
    retry_seconds: float
    batch_limit: int
    schema: str | None
    replication: Replication | None


@dataclass(frozen=True)
class Option:
    """One option: what it is called, its default, how a value is read and checked, what it means, and whether it
    belongs to the connection, which a session that is handed in has already.
    """

    name: str
    default: Any
    read: Reader
    meaning: str
    connection: bool = False


_TABLE = (
    Option("namespace", DEFAULT_NAMESPACE, read_text, "the namespace: A-Z a-z 0-9 _ -, 1 to 48 of them"),
    Option("consistency", "local_quorum", read_choice(*_LEVELS), "how many replicas confirm a read or a write"),
    Option("trim_consistency", "quorum", read_choice(*_LEVELS), "the same for the reads that decide what a trim drops"),
    Option("timeout", 10.0, read_seconds(), "seconds to wait for an answer"),
    Option("retry_seconds", 10.0, read_seconds(zero=True), "how long a call goes on trying while nodes are away"),
    Option(
        "batch_limit",
        50 * 1024,
        read_count(1024, 2**30),
        "bytes of one logged batch: the servers' batch_size_fail_threshold; larger ones go by the journal",
    ),
    Option(
        "schema",
        None,
        read_choice(*_MODES),
        "what opening does about the tables: bring them up to date, only check them, or take them as they are; by "
        "default they are made in a keyspace that has none",
    ),
    Option(
        "replication",
        None,
        read_replication,
        "how to make the keyspace where it is not there: '3', or 'datacenter:3,datacenter:3'",
    ),
    Option("datacenter", None, read_text, "the datacenter to ask; that of the first node by default", True),
    Option("connect_timeout", 5.0, read_seconds(), "seconds to wait for a new connection", True),
    Option("ssl_ca_certs", None, read_text, "a file of certificates to trust; given, TLS is spoken", True),
    Option("ssl_certfile", None, read_text, "this client's certificate", True),
    Option("ssl_keyfile", None, read_text, "its key", True),
    Option("ssl_check_hostname", True, read_flag, "whether the certificate must name the host", True),
)
OPTIONS = {option.name: option for option in _TABLE}


def read_options(query: Mapping[str, str], keywords: Mapping[str, object]) -> dict[str, Any]:
    """Return every option, from a URL's query, the keywords and the defaults, read and checked; None counts as not
    given.

    Raises :class:`InvalidTypeError` for an unknown one, and :class:`InvalidValueError` for a bad value or one that is
    given twice.
    """
    options = {name: option.default for name, option in OPTIONS.items()}
    for name, value in given_once(query, keywords).items():
        if name not in OPTIONS:
            raise InvalidTypeError(f"unknown option {shown(name)}; Cassandra takes {', '.join(OPTIONS)}")
        if value is not None:
            options[name] = OPTIONS[name].read(name, value)
    return options


def settings_of(options: Mapping[str, Any]) -> Settings:
    """Return the settings that options describe."""
    return Settings(
        ConsistencyLevel.name_to_value[options["consistency"].upper()],
        ConsistencyLevel.name_to_value[options["trim_consistency"].upper()],
        options["timeout"],
        options["retry_seconds"],
        options["batch_limit"],
        options["schema"],
        options["replication"],
    )


def refuse_connection_options(given: Mapping[str, object]) -> None:
    """Raise for options that a session which is handed in has decided already."""
    for name in given:
        if name in OPTIONS and OPTIONS[name].connection:
            raise InvalidTypeError(f"the option {name} belongs to the session that was handed in; set it there")
