"""The options of the Redis backend: one table of names, defaults and meanings, the same by URL and by keyword."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from feedstore.backends.redis.address_map import read_address_map
from feedstore.backends.redis.keys import MOST_BUCKETS
from feedstore.errors import InvalidValueError
from feedstore.options import (
    DAY_SECONDS,
    Option,
    OptionTable,
    given_once,
    read_choice,
    read_count,
    read_file,
    read_flag,
    read_seconds,
    read_text,
)
from feedstore.storage.session import DEFAULT_NAMESPACE

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


OPTIONS = OptionTable(
    "Redis",
    (
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
            "seconds without a write after which the server deletes a timeline",
        ),
        Option(
            "timeout",
            5.0,
            read_seconds(),
            "seconds to wait for an answer",
            is_of_connection=True,
            driver_argument="socket_timeout",
        ),
        Option(
            "connect_timeout",
            5.0,
            read_seconds(),
            "seconds to wait for a new connection",
            is_of_connection=True,
            driver_argument="socket_connect_timeout",
        ),
        Option(
            "max_connections",
            100,
            read_count(1, 100_000),
            "maximum number of open connections",
            is_of_connection=True,
            driver_argument="max_connections",
        ),
        Option(
            "client_name",
            None,
            read_text,
            "the name of this client in CLIENT LIST",
            is_of_connection=True,
            driver_argument="client_name",
        ),
        Option(
            "address_map",
            None,
            read_address_map,
            "named=reached, …: the addresses at which to reach nodes that name other addresses",
            is_of_connection=True,
        ),
        Option("sentinel_username", None, read_text, "the user at the Sentinels", is_of_connection=True),
        Option("sentinel_password", None, read_text, "the password of this user", is_of_connection=True),
        Option(
            "ssl_ca_certs",
            None,
            read_file,
            "a file of certificates to trust",
            is_of_connection=True,
            driver_argument="ssl_ca_certs",
        ),
        Option(
            "ssl_certfile",
            None,
            read_file,
            "this client's certificate",
            is_of_connection=True,
            driver_argument="ssl_certfile",
        ),
        Option("ssl_keyfile", None, read_file, "its key", is_of_connection=True, driver_argument="ssl_keyfile"),
        Option(
            "ssl_cert_reqs",
            None,
            read_choice("required", "optional", "none"),
            "how to check",
            is_of_connection=True,
            driver_argument="ssl_cert_reqs",
        ),
        Option(
            "ssl_check_hostname",
            None,
            read_flag,
            "whether the certificate must name the host",
            is_of_connection=True,
            driver_argument="ssl_check_hostname",
        ),
    ),
)


def read_options(query: Mapping[str, str], keywords: Mapping[str, object]) -> dict[str, Any]:
    """Return the given options, from a URL's query and the keywords, checked; None counts as not given."""
    return OPTIONS.read(given_once(query, keywords))


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
    for option in OPTIONS.values():
        value = options.get(option.name, option.default)
        if option.driver_argument is not None and value is not None:
            arguments[option.driver_argument] = value
    return arguments
