"""The options of the Cassandra backend: names, defaults and meanings, for URLs and keywords alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cassandra import ConsistencyLevel

from feedstore.backends.cassandra.replication import Replication, read_replication
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
from feedstore.storage.session import DEFAULT_NAMESPACE

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
