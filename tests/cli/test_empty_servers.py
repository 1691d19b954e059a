"""The commands that only read, on servers that hold no tables of feedstore: they create none."""

from __future__ import annotations

import pytest

from cli.running import CommandLine
from feedstore import connect
from feedstore.errors import MissingSchemaError

READING = (
    ["stats"],
    ["timeline", "feed:bob"],
    ["activity", "0" * 32],
    ["trim", "--all", "--yes", "--length", "1"],
    ["serve", "--port", "0"],
)


@pytest.fixture(params=["postgresql_database", "cassandra_keyspace"])
def empty_url(request: pytest.FixtureRequest) -> str:
    """The URL of a database or a keyspace without tables."""
    url: str = request.getfixturevalue(request.param)
    return url


def test_reading_creates_no_table(feedstore: CommandLine, empty_url: str) -> None:
    for arguments in READING:
        result = feedstore(*arguments, "--store", empty_url)
        assert (result.status, result.out) == (1, "")
        assert "no tables of feedstore" in result.err
    with connect(empty_url, schema="check") as backend, pytest.raises(MissingSchemaError):
        backend.timeline_storage().count("feed:bob")
