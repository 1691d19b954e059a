"""The options of the Cassandra backend: names, defaults and meanings, for URLs and keywords alike."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cassandra import ConsistencyLevel

from feedstore.errors import InvalidTypeError, InvalidValueError
from feedstore.options import (
    Option,
    OptionTable,
    given_once,
    read_choice,
    read_count,
    read_flag,
    read_seconds,
    read_text,
)
from feedstore.shown import shown
from feedstore.storage.session import DEFAULT_NAMESPACE

_DATACENTER = re.compile(r"(?P<name>[A-Za-z0-9_.-]+):(?P<factor>[0-9]{1,3})")


@dataclass(frozen=True)
class Replication:
    """The number of replicas by datacenter. The name ``replication_factor`` stands for every datacenter."""

    factors: tuple[tuple[str, int], ...]

    def creation(self, keyspace: str) -> str:
        """Return the statement that creates a keyspace if it does not exist."""
        factors = "".join(f", '{name}': {factor}" for name, factor in self.factors)
        return (
            f'CREATE KEYSPACE IF NOT EXISTS "{keyspace}" '
            f"WITH replication = {{'class': 'NetworkTopologyStrategy'{factors}}}"
        )


def read_replication(name: str, value: object) -> Replication:
    """Return the replication in an option's value: ``3`` for every datacenter, or ``east:3,west:2``."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise InvalidTypeError(f"the option {name} must be an int or a str such as 'east:3,west:2', not {shown(value)}")
    parts = [("replication_factor", value)] if value.isdigit() and value.isascii() else _datacenters(name, value)
    factors = tuple((place, int(factor)) for place, factor in parts)
    if any(factor < 1 for _, factor in factors) or len(dict(factors)) < len(factors):
        raise _unreadable(name, value)
    return Replication(factors)


def _datacenters(name: str, value: str) -> list[tuple[str, str]]:
    found = [_DATACENTER.fullmatch(part) for part in value.split(",")]
    parts = [(one["name"], one["factor"]) for one in found if one is not None]
    if len(parts) < len(found):
        raise _unreadable(name, value)
    return parts


def _unreadable(name: str, value: str) -> InvalidValueError:
    return InvalidValueError(
        f"the option {name} is {shown(value)}; pass the number of replicas, or a number for each datacenter: "
        "'east:3,west:2'"
    )


_LEVELS = ("one", "two", "three", "quorum", "all", "local_quorum", "each_quorum", "local_one")
_MODES = ("migrate", "check", "ignore")


@dataclass(frozen=True)
class Settings:
    """The options of requests, for own and given sessions."""

    consistency: int
    trim_consistency: int
    timeout: float
    retry_seconds: float
    batch_limit: int
    schema: str | None
    replication: Replication | None


OPTIONS = OptionTable(
    "Cassandra",
    (
        Option("namespace", DEFAULT_NAMESPACE, read_text, "the namespace: A-Z a-z 0-9 _ -, 1 to 48 of them"),
        Option("consistency", "local_quorum", read_choice(*_LEVELS), "the replicas that confirm a read or a write"),
        Option("trim_consistency", "quorum", read_choice(*_LEVELS), "the same for the reads of trims"),
        Option("timeout", 10.0, read_seconds(), "seconds to wait for an answer"),
        Option(
            "retry_seconds", 10.0, read_seconds(zero=True), "seconds for which a call is retried while nodes are away"
        ),
        Option(
            "batch_limit",
            50 * 1024,
            read_count(1024, 2**30),
            "bytes of one logged batch: the servers' batch_size_fail_threshold; larger batches use the journal",
        ),
        Option(
            "schema",
            None,
            read_choice(*_MODES),
            "migrate: update the tables at the opening; check: only check them; ignore: use them unchanged; by default "
            "the opening creates the tables in a keyspace without tables",
        ),
        Option(
            "replication",
            None,
            read_replication,
            "the replication of a keyspace that the opening creates: '3', or 'datacenter:3,datacenter:3'",
        ),
        Option(
            "datacenter",
            None,
            read_text,
            "the datacenter of the requests; by default that of the first node",
            is_of_connection=True,
        ),
        Option("connect_timeout", 5.0, read_seconds(), "seconds to wait for a new connection", is_of_connection=True),
        Option(
            "ssl_ca_certs",
            None,
            read_text,
            "a file of certificates to trust; with it the driver uses TLS",
            is_of_connection=True,
        ),
        Option("ssl_certfile", None, read_text, "this client's certificate", is_of_connection=True),
        Option("ssl_keyfile", None, read_text, "its key", is_of_connection=True),
        Option(
            "ssl_check_hostname", True, read_flag, "whether the certificate must name the host", is_of_connection=True
        ),
    ),
)


def read_options(query: Mapping[str, str], keywords: Mapping[str, object]) -> dict[str, Any]:
    """Return every option, checked, from a URL's query, the keywords and the defaults. None is the default."""
    return {**OPTIONS.defaults, **OPTIONS.read(given_once(query, keywords))}


def settings_of(options: Mapping[str, Any]) -> Settings:
    """Return the settings in the options."""
    return Settings(
        ConsistencyLevel.name_to_value[options["consistency"].upper()],
        ConsistencyLevel.name_to_value[options["trim_consistency"].upper()],
        options["timeout"],
        options["retry_seconds"],
        options["batch_limit"],
        options["schema"],
        options["replication"],
    )
