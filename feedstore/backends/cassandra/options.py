"""The options of the Cassandra backend: one table of names, defaults and meanings, the same by URL and by keyword."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cassandra import ConsistencyLevel

from feedstore.backends.cassandra.replication import Replication, read_replication
from feedstore.errors import InvalidTypeError, InvalidValueError
from feedstore.storage.backend import DEFAULT_NAMESPACE

_LONGEST_SECONDS = 86_400.0
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
    read: Callable[[str, object], Any]
    meaning: str
    connection: bool = False


def _read_text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise InvalidTypeError(f"the option {name} is a text, not {value!r} of type {type(value).__name__}")
    return value


def _read_seconds(name: str, value: object) -> float:
    seconds = _number(name, value, float, "a number of seconds")
    if not 0 < seconds <= _LONGEST_SECONDS:
        raise InvalidValueError(f"the option {name} is {value}; it lies above 0 and up to {_LONGEST_SECONDS:g} seconds")
    return float(seconds)


def _read_pause(name: str, value: object) -> float:
    seconds = _number(name, value, float, "a number of seconds")
    if not 0 <= seconds <= _LONGEST_SECONDS:
        raise InvalidValueError(f"the option {name} is {value}; it lies between 0 and {_LONGEST_SECONDS:g} seconds")
    return float(seconds)


def _read_count(lowest: int, highest: int) -> Callable[[str, object], int]:
    def read(name: str, value: object) -> int:
        count = _number(name, value, int, "a whole number")
        if not lowest <= count <= highest:
            raise InvalidValueError(f"the option {name} is {value}; it lies between {lowest} and {highest}")
        return int(count)

    return read


def _number(name: str, value: object, kind: type[int] | type[float], what: str) -> float:
    if isinstance(value, str):
        try:
            value = kind(value)
        except ValueError:
            raise InvalidValueError(f"the option {name} is {value!r}; it is {what}") from None
    if isinstance(value, bool) or not isinstance(value, (int, kind)):
        raise InvalidTypeError(f"the option {name} is {what}, not {value!r} of type {type(value).__name__}")
    if math.isnan(value):
        raise InvalidValueError(f"the option {name} is {value!r}; it is {what}")
    return value


def _read_flag(name: str, value: object) -> bool:
    if isinstance(value, bool):
        return value
    if value in ("true", "false"):
        return value == "true"
    raise InvalidValueError(f"the option {name} is {value!r}; it is true or false")


def _read_choice(*choices: str) -> Callable[[str, object], str]:
    def read(name: str, value: object) -> str:
        chosen = _read_text(name, value).lower()
        if chosen not in choices:
            raise InvalidValueError(f"the option {name} is {chosen!r}; it is one of {', '.join(choices)}")
        return chosen

    return read


_TABLE = (
    Option("namespace", DEFAULT_NAMESPACE, _read_text, "the namespace: A-Z a-z 0-9 _ -, 1 to 48 of them"),
    Option("consistency", "local_quorum", _read_choice(*_LEVELS), "how many replicas confirm a read or a write"),
    Option(
        "trim_consistency", "quorum", _read_choice(*_LEVELS), "the same for the reads that decide what a trim drops"
    ),
    Option("timeout", 10.0, _read_seconds, "seconds to wait for an answer"),
    Option("retry_seconds", 10.0, _read_pause, "how long a call goes on trying while nodes are away"),
    Option(
        "batch_limit",
        50 * 1024,
        _read_count(1024, 2**30),
        "the largest atomic batch in bytes: the servers' batch_size_fail_threshold",
    ),
    Option(
        "schema",
        None,
        _read_choice(*_MODES),
        "what opening does about the tables: bring them up to date, only check them, or take them as they are; by "
        "default they are made in a keyspace that has none",
    ),
    Option(
        "replication",
        None,
        read_replication,
        "how to make the keyspace where it is not there: '3', or 'datacenter:3,datacenter:3'",
    ),
    Option("datacenter", None, _read_text, "the datacenter to ask; that of the first node by default", True),
    Option("connect_timeout", 5.0, _read_seconds, "seconds to wait for a new connection", True),
    Option("ssl_ca_certs", None, _read_text, "a file of certificates to trust; given, TLS is spoken", True),
    Option("ssl_certfile", None, _read_text, "this client's certificate", True),
    Option("ssl_keyfile", None, _read_text, "its key", True),
    Option("ssl_check_hostname", True, _read_flag, "whether the certificate must name the host", True),
)
OPTIONS = {option.name: option for option in _TABLE}


def read_options(query: Mapping[str, str], keywords: Mapping[str, object]) -> dict[str, Any]:
    """Return every option, from a URL's query, the keywords and the defaults, read and checked; None counts as not
    given.

    Raises :class:`InvalidTypeError` for an unknown one, and :class:`InvalidValueError` for a bad value or one that is
    given twice.
    """
    twice = sorted(set(query) & set(keywords))
    if twice:
        raise InvalidValueError(f"the option {twice[0]} stands in the URL and among the keywords; pass it once")
    options = {name: option.default for name, option in OPTIONS.items()}
    for name, value in {**query, **keywords}.items():
        if name not in OPTIONS:
            raise InvalidTypeError(f"unknown option {name!r}; Cassandra takes {', '.join(OPTIONS)}")
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
