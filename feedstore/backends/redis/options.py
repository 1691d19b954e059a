"""The options of the Redis backend: one table of names, defaults and meanings, the same by URL and by keyword."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from feedstore.backends.redis.keys import MOST_BUCKETS
from feedstore.errors import InvalidTypeError, InvalidValueError
from feedstore.storage.backend import DEFAULT_NAMESPACE

DEFAULT_BUCKETS = 64
"""Measured with fan-outs to 1,000 timelines: one script for each bucket keeps 0.75 of the speed of one script for all
with 64 buckets, 0.81 with 16 and 0.54 with 256; on one server a script reaches all buckets and keeps 0.86."""

_LONGEST_SECONDS = 86_400.0 * 366 * 10


@dataclass(frozen=True)
class Settings:
    """The options that a connection goes by."""

    retry_seconds: float
    wait_replicas: int
    wait_timeout: float
    idle_expiry: float | None
    buckets: int | None


@dataclass(frozen=True)
class Option:
    """One option: what it is called, its default, how a value is read and checked, and what it means.

    ``connection`` names the redis-py argument that it becomes, for those that do; a client that is handed in was given
    its own.
    """

    name: str
    default: Any
    read: Callable[[str, object], Any]
    meaning: str
    connection: str | None = None


def _read_text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise InvalidTypeError(f"the option {name} is a text, not {value!r} of type {type(value).__name__}")
    return value


def _read_seconds(lowest: float, above: bool = True) -> Callable[[str, object], float]:
    def read(name: str, value: object) -> float:
        seconds = _number(name, value, float, "a number of seconds")
        if not lowest <= seconds <= _LONGEST_SECONDS or (above and seconds == lowest):
            word = "above" if above else "at least"
            raise InvalidValueError(
                f"the option {name} is {value}; it is {word} {lowest:g} seconds and at most {_LONGEST_SECONDS:.0f}"
            )
        return float(seconds)

    return read


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


def _read_file(name: str, value: object) -> str:
    path = _read_text(name, value)
    if not os.path.isfile(path):
        raise InvalidValueError(f"the option {name} is {path!r}, and there is no such file")
    return path


def _read_choice(*choices: str) -> Callable[[str, object], str]:
    def read(name: str, value: object) -> str:
        chosen = _read_text(name, value)
        if chosen not in choices:
            raise InvalidValueError(f"the option {name} is {chosen!r}; it is one of {', '.join(choices)}")
        return chosen

    return read


_TABLE = (
    Option("namespace", DEFAULT_NAMESPACE, _read_text, "the namespace: A-Z a-z 0-9 _ -, 1 to 48 of them"),
    Option(
        "buckets",
        None,
        _read_count(1, MOST_BUCKETS),
        "into how many slots of a Cluster a namespace is spread; fixed when it is first written to, 64 by default",
    ),
    Option("colocate", False, _read_flag, "true: one bucket, so that any atomic batch is possible on a Cluster"),
    Option("retry_seconds", None, _read_seconds(0, above=False), "how long to try again; 5 by default, Cluster 20"),
    Option("wait_replicas", 0, _read_count(0, 100), "how many replicas must confirm each write"),
    Option("wait_timeout", 1.0, _read_seconds(0), "seconds to wait for them, less than timeout"),
    Option("idle_expiry", None, _read_seconds(0), "seconds after which a timeline that nobody writes to is deleted"),
    Option("timeout", 5.0, _read_seconds(0), "seconds to wait for an answer", "socket_timeout"),
    Option("connect_timeout", 5.0, _read_seconds(0), "seconds to wait for a new connection", "socket_connect_timeout"),
    Option("max_connections", 100, _read_count(1, 100_000), "connections that may be open at once", "max_connections"),
    Option("client_name", None, _read_text, "what CLIENT LIST shows", "client_name"),
    Option("ssl_ca_certs", None, _read_file, "a file of certificates to trust", "ssl_ca_certs"),
    Option("ssl_certfile", None, _read_file, "this client's certificate", "ssl_certfile"),
    Option("ssl_keyfile", None, _read_file, "its key", "ssl_keyfile"),
    Option("ssl_cert_reqs", None, _read_choice("required", "optional", "none"), "how to check", "ssl_cert_reqs"),
    Option("ssl_check_hostname", None, _read_flag, "whether the certificate must name the host", "ssl_check_hostname"),
)
OPTIONS = {option.name: option for option in _TABLE}


def read_options(query: Mapping[str, str], keywords: Mapping[str, object]) -> dict[str, Any]:
    """Return every option that was given, in a URL's query or by keyword, read and checked; None counts as not given.

    Raises :class:`InvalidTypeError` for an unknown one, and :class:`InvalidValueError` for a bad value or one that is
    given twice.
    """
    twice = sorted(set(query) & set(keywords))
    if twice:
        raise InvalidValueError(f"the option {twice[0]} stands in the URL and among the keywords; pass it once")
    options: dict[str, Any] = {}
    for name, value in {**query, **keywords}.items():
        if name not in OPTIONS:
            raise InvalidTypeError(f"unknown option {name!r}; Redis takes {', '.join(OPTIONS)}")
        if value is not None:
            options[name] = OPTIONS[name].read(name, value)
    return options


def settings_of(options: Mapping[str, Any], retry_seconds: float) -> Settings:
    """Return the settings that options describe."""

    def chosen(name: str) -> Any:
        return options.get(name, OPTIONS[name].default)

    buckets = chosen("buckets")
    if chosen("colocate"):
        if buckets not in (None, 1):
            raise InvalidValueError(f"colocate=True is one bucket, and buckets is {buckets}; pass one of the two")
        buckets = 1
    return Settings(
        options.get("retry_seconds", retry_seconds),
        chosen("wait_replicas"),
        chosen("wait_timeout"),
        chosen("idle_expiry"),
        buckets,
    )


def connection_arguments(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of redis-py's connections that options describe, defaults included."""
    arguments = {}
    for option in _TABLE:
        value = options.get(option.name, option.default)
        if option.connection is not None and value is not None:
            arguments[option.connection] = value
    return arguments


def refuse_connection_options(options: Mapping[str, Any]) -> None:
    """Raise for options that a client which is handed in has decided already."""
    for name in options:
        if OPTIONS[name].connection is not None:
            raise InvalidTypeError(f"the option {name} belongs to the client that was handed in; set it there")
