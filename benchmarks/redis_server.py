"""The Redis server of the benchmarks."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from benchmarks.postgresql_server import import_of_tests


def why_unavailable() -> str | None:
    """Return the missing requirement of a server on this machine, or None."""
    if find_spec("redis") is None or find_spec("hiredis") is None:
        return "redis and hiredis are not installed"
    if import_of_tests("redis_programs").find_server() is None:
        return "redis-server is not installed"
    return None


def start(*settings: str) -> Any:
    """Return a server that is started for the benchmarks and reached through its socket."""
    return import_of_tests("servers.redis").OwnRedisServer(*settings)
