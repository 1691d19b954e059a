"""Addresses and options: accepted ones, and refusals that show no password."""

from __future__ import annotations

from typing import Any

import pytest
from cassandra import ConsistencyLevel

from feedstore import connect
from feedstore.backends.cassandra import CassandraBackend
from feedstore.backends.cassandra.address import parse_address
from feedstore.backends.cassandra.options import read_options, read_replication, settings_of
from feedstore.errors import InvalidValueError


@pytest.mark.parametrize(
    ("url", "places", "label"),
    [
        ("cassandra://host/feeds", [("host", 9042)], "cassandra://host:9042/feeds"),
        ("cassandra://a:1,b/feeds", [("a", 1), ("b", 9042)], "cassandra://a:1,b:9042/feeds"),
        ("CASSANDRA://user:se%40cret@a/Feeds_1", [("a", 9042)], "cassandra://a:9042/Feeds_1"),
        ("cassandra://user:secret@[::1]:7/f?timeout=3", [("::1", 7)], "cassandra://[::1]:7/f"),
    ],
)
def test_addresses(url: str, places: list[tuple[str, int]], label: str) -> None:
    address = parse_address(url)
    assert (address.places, address.label) == (places, label)
    for shown in (repr(address), repr(connect(url))):
        assert "cret" not in shown


def test_credentials_are_decoded() -> None:
    assert parse_address("cassandra://us%3Aer:se%40cret@a/feeds").credentials == {
        "username": "us:er",
        "password": "se@cret",
    }


@pytest.mark.parametrize(
    "url",
    [
        "cassandra://user:secret@host",
        "cassandra://user:secret@host/",
        "cassandra://user:secret@/feeds",
        "cassandra://user:secret@host:port/feeds",
        "cassandra://user:secret@host:0/feeds",
        "cassandra://user:secret@host:65536/feeds",
        "cassandra://user:secret@x@host/feeds",
        "cassandra://secret@host/feeds",
        "cassandra://user:secret@a,,b/feeds",
        "cassandra://user:secret@host/1feeds",
        "cassandra://user:secret@host/fee-ds",
        "cassandra://user:secret@host/feeds/more",
        f"cassandra://user:secret@host/{'f' * 49}",
        "cassandra://user:secret@host/feeds?timeout",
        "cassandra://user:secret@host/feeds?timeout=1&timeout=2",
        "cassandra://user:secret@host/feeds?timeout=never",
        "cassandra://user:secret@host/feeds?timeout=0",
        "cassandra://user:secret@host/feeds?timeout=nan",
        "cassandra://user:secret@host/feeds?consistency=most",
        "cassandra://user:secret@host/feeds?schema=drop",
        "cassandra://user:secret@host/feeds?replication=0",
        "cassandra://user:secret@host/feeds?replication=east",
        "cassandra://user:secret@host/feeds?replication=east:1,east:2",
        "cassandra://user:secret@host/feeds?batch_limit=1",
        "cassandra://user:secret@host/feeds?ssl_certfile=file",
        "cassandra://user:secret@host/feeds?ssl_ca_certs=/no/such/file",
        "cassandra://user:secret@host/feeds?ssl_check_hostname=maybe",
        "cassandra://user:secret@host/feeds?namespace=a b",
    ],
)
def test_addresses_and_options_that_are_refused(url: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        connect(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"colour": "red"}, TypeError, "colour"),
        ({"timeout": "fast"}, ValueError, "timeout"),
        ({"timeout": True}, TypeError, "timeout"),
        ({"timeout": -1}, ValueError, "timeout"),
        ({"retry_seconds": -1}, ValueError, "retry_seconds"),
        ({"consistency": 5}, TypeError, "consistency"),
        ({"replication": 1.5}, TypeError, "replication"),
        ({"keyspace": "other"}, TypeError, "keyspace"),
    ],
)
def test_keywords_that_are_refused(options: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        connect("cassandra://host/feeds", **options)


def test_an_option_in_the_url_and_among_the_keywords_is_refused() -> None:
    with pytest.raises(ValueError, match="timeout"):
        connect("cassandra://host/feeds?timeout=3", timeout=3)


def test_a_url_or_a_session_is_needed() -> None:
    for arguments in ({}, {"url": "cassandra://host/feeds", "session": object()}):
        with pytest.raises(TypeError, match="session"):
            CassandraBackend(**arguments)  # type: ignore[arg-type]


def test_settings_are_those_of_the_url_or_the_defaults() -> None:
    default = settings_of(read_options({}, {}))
    assert (default.consistency, default.trim_consistency) == (ConsistencyLevel.LOCAL_QUORUM, ConsistencyLevel.QUORUM)
    assert (default.timeout, default.retry_seconds, default.batch_limit) == (10.0, 10.0, 51_200)
    query = {"consistency": "ONE", "timeout": "2.5", "retry_seconds": "0", "batch_limit": "2048", "schema": "check"}
    chosen = settings_of(read_options(query, {"replication": None}))
    assert (chosen.consistency, chosen.timeout, chosen.retry_seconds) == (ConsistencyLevel.ONE, 2.5, 0.0)
    assert (chosen.batch_limit, chosen.schema, chosen.replication) == (2048, "check", None)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (3, "'replication_factor': 3"),
        ("2", "'replication_factor': 2"),
        ("east:3,west-2:1", "'east': 3, 'west-2': 1"),
    ],
)
def test_a_keyspace_is_made_with_its_replication(given: object, expected: str) -> None:
    assert read_replication("replication", given).creation("Feeds") == (
        f"CREATE KEYSPACE IF NOT EXISTS \"Feeds\" WITH replication = {{'class': 'NetworkTopologyStrategy', {expected}}}"
    )


def test_nothing_is_connected_before_the_first_use() -> None:
    backend = connect("cassandra://127.0.0.1:1/feeds")
    backend.with_namespace("other").timeline_storage()
    backend.close()
    assert backend.closed
