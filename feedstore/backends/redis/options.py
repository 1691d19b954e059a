"""The options of the Redis backend: one table of names, defaults and meanings, the same by URL and by keyword."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from feedstore.backends.redis.address_map import read_address_map
from feedstore.backends.redis.keys import MOST_BUCKETS
from feedstore.errors import InvalidTypeError, InvalidValueError
from feedstore.shown import shown
from feedstore.storage.backend import DEFAULT_NAMESPACE
from feedstore.storage.option_values import (
    DAY_SECONDS,
    Reader,
    given_once,
    read_choice,
    read_count,
    read_file,
    read_flag,
    read_seconds,
    read_text,
)

DEFAULT_BUCKETS = 64
"""Measured with fan-outs to 1,000 timelines: one script for each bucket keeps 0.75 of the speed of one script for all
with 64 buckets, 0.81 with 16 and 0.54 with 256; on one server a script reaches all buckets and keeps 0.86."""

_LONGEST_EXPIRY_SECONDS = 3660 * DAY_SECONDS


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
    read: Reader
    meaning: str
    connection: str | None = None


_TABLE = (
    Option("namespace", DEFAULT_NAMESPACE, read_text, "the namespace: A-Z a-z 0-9 _ -, 1 to 48 of them"),
    Option(
        "buckets",
        None,
        read_count(1, MOST_BUCKETS),
        "into how many slots of a Cluster a namespace is spread; fixed when it is first written to, 64 by default",
    ),
    Option("colocate", False, read_flag, "true: one bucket, so that any atomic batch is possible on a Cluster"),
    Option(
        "retry_seconds",
        None,
        read_seconds(zero=True),
        "how long to try again; by default twice timeout, and at least 5, on a Cluster 20",
    ),
    Option("wait_replicas", 0, read_count(0, 100), "how many replicas must confirm each write"),
    Option("wait_timeout", 1.0, read_seconds(), "seconds to wait for them, less than timeout"),
    Option(
        "idle_expiry",
        None,
        read_seconds(_LONGEST_EXPIRY_SECONDS),
        "seconds after which a timeline that nobody writes to is deleted",
    ),
    Option("timeout", 5.0, read_seconds(), "seconds to wait for an answer", "socket_timeout"),
    Option("connect_timeout", 5.0, read_seconds(), "seconds to wait for a new connection", "socket_connect_timeout"),
    Option("max_connections", 100, read_count(1, 100_000), "connections that may be open at once", "max_connections"),
    Option("client_name", None, read_text, "what CLIENT LIST shows", "client_name"),
    Option("address_map", None, read_address_map, "address=address, …: where to reach nodes that name other addresses"),
    Option("sentinel_username", None, read_text, "the user at the Sentinels"),
    Option("sentinel_password", None, read_text, "its password there"),
    Option("ssl_ca_certs", None, read_file, "a file of certificates to trust", "ssl_ca_certs"),
    Option("ssl_certfile", None, read_file, "this client's certificate", "ssl_certfile"),
    Option("ssl_keyfile", None, read_file, "its key", "ssl_keyfile"),
    Option("ssl_cert_reqs", None, read_choice("required", "optional", "none"), "how to check", "ssl_cert_reqs"),
    Option("ssl_check_hostname", None, read_flag, "whether the certificate must name the host", "ssl_check_hostname"),
)
OPTIONS = {option.name: option for option in _TABLE}
_OF_URLS = ("address_map", "sentinel_username", "sentinel_password")


def read_options(query: Mapping[str, str], keywords: Mapping[str, object]) -> dict[str, Any]:
    """Return every option that was given, in a URL's query or by keyword, read and checked; None counts as not given.

    Raises :class:`InvalidTypeError` for an unknown one, and :class:`InvalidValueError` for a bad value or one that is
    given twice.
    """
    options: dict[str, Any] = {}
    for name, value in given_once(query, keywords).items():
        if name not in OPTIONS:
            raise InvalidTypeError(f"unknown option {shown(name)}; Redis takes {', '.join(OPTIONS)}")
        if value is not None:
            options[name] = OPTIONS[name].read(name, value)
    return options


def settings_of(options: Mapping[str, Any], least_retry_seconds: float) -> Settings:
    """Return the settings that options describe.

    A request that gets no answer within ``timeout`` is sent once more before ``retry_seconds`` end, by default.
    """

    def chosen(name: str) -> Any:
        return options.get(name, OPTIONS[name].default)

    buckets = chosen("buckets")
    if chosen("colocate"):
        if buckets not in (None, 1):
            raise InvalidValueError(f"colocate=True is one bucket, and buckets is {buckets}; pass one of the two")
        buckets = 1
    return Settings(
        options.get("retry_seconds", max(least_retry_seconds, 2 * chosen("timeout"))),
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
        if OPTIONS[name].connection is not None or name in _OF_URLS:
            raise InvalidTypeError(f"the option {name} belongs to the client that was handed in; set it there")
