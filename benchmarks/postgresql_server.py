"""The PostgreSQL server of the benchmarks, which the tests' code starts."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parent.parent


def why_unavailable() -> str | None:
    """Return the missing requirement of a server on this machine, or None."""
    if find_spec("psycopg") is None:
        return "psycopg is not installed"
    programs = import_of_tests("postgresql_programs")
    if os.environ.get(programs.URL_VARIABLE) or programs.find_programs() is not None:
        return None
    return f"PostgreSQL's programs are not installed, and {programs.URL_VARIABLE} names no server"


def start() -> Any:
    """Return a server that is started for the benchmarks, or the one that FEEDSTORE_TEST_POSTGRESQL names."""
    servers = import_of_tests("servers.postgresql")
    url = os.environ.get(import_of_tests("postgresql_programs").URL_VARIABLE)
    return servers.PostgreSQLServer(url) if url else servers.OwnPostgreSQLServer()


def database_bytes(url: str) -> int:
    """Return the size of all tables of a database with their indexes."""
    import psycopg

    from benchmarks.raw.postgresql import stored_bytes

    with psycopg.connect(url) as connection:
        return stored_bytes(connection)


def vacuum(url: str) -> None:
    """Remove a database's dead rows, and update the planner's statistics."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE)")


def import_of_tests(name: str) -> Any:
    """Return a module of tests/ or scripts/, which start servers."""
    for folder in ("tests", "scripts"):
        path = str(_ROOT / folder)
        if path not in sys.path:
            sys.path.append(path)
    return import_module(name)
