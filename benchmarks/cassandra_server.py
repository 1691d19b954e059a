"""The Cassandra node of the benchmarks."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from benchmarks.postgresql_server import import_of_tests


def why_unavailable() -> str | None:
    """Return the missing requirement of a node on this machine, or None."""
    if find_spec("cassandra") is None:
        return "cassandra-driver is not installed"
    programs = import_of_tests("cassandra_programs")
    if programs.find_java() is None:
        return "no Java 17 is installed"
    if programs.find_jars() is None:
        return "Cassandra's jars have not been fetched: scripts/machine.py does it"
    return None


def start() -> Any:
    """Return a node that is started for the benchmarks."""
    return import_of_tests("servers.cassandra_flushing").FlushingCassandraServer()
