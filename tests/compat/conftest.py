"""Data that stream_framework 1.4.0 itself has written, in an environment of its own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from benchmarks.ancestor import environment
from servers.redis import OwnRedisServer

PROGRAM = Path(__file__).with_name("ancestor_program.py")


class Written(NamedTuple):
    """The URL of the data, and the results of stream_framework's own reads."""

    url: str
    read: dict[str, Any]
    server: OwnRedisServer | None = None


def run_ancestor(*arguments: str) -> dict[str, Any]:
    """Run the program in the environment of stream_framework, which the first call makes in the user's cache."""
    command = [str(environment.python()), str(PROGRAM), *arguments]
    finished = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert finished.returncode == 0, finished.stderr
    read: dict[str, Any] = json.loads(finished.stdout)
    return read


@pytest.fixture(scope="module")
def redis_data() -> Iterator[Written]:
    """The data of an application in a Redis of their own."""
    server = OwnRedisServer()
    try:
        yield Written(f"{server.url}/0", run_ancestor("redis", str(server.port), "0"), server)
    finally:
        server.stop()


@pytest.fixture
def cassandra_data(cassandra_keyspace: str) -> Written:
    """The data of an application in a keyspace of their own."""
    parts = urlsplit(cassandra_keyspace)
    read = run_ancestor("cassandra", str(parts.hostname), str(parts.port), parts.path.strip("/"))
    return Written(cassandra_keyspace, read)
