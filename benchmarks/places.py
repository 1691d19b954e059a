"""The stores of the small benchmarks: each is started for a run, and stopped after it."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from benchmarks import cassandra_server, postgresql_server, redis_server


@contextmanager
def _memory() -> Iterator[str]:
    yield "memory://"


@contextmanager
def _sqlite() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        yield f"sqlite:///{Path(folder) / 'product.db'}"


@contextmanager
def _started(start: Callable[[], Any]) -> Iterator[str]:
    server = start()
    try:
        yield server.url
    finally:
        server.stop()


@contextmanager
def _postgresql() -> Iterator[str]:
    server = postgresql_server.start()
    name = server.create_database()
    try:
        yield server.url(name)
    finally:
        server.drop_database(name)
        server.stop()


PLACES: dict[str, Callable[[], AbstractContextManager[str]]] = {
    "memory": _memory,
    "sqlite": _sqlite,
    "postgresql": _postgresql,
    "redis": lambda: _started(redis_server.start),
    "cassandra": lambda: _started(cassandra_server.start),
}
"""Context managers by the names of backends, each of which returns the URL of a new store."""


def new_parser(description: str, names: Iterable[str], rounds: int) -> argparse.ArgumentParser:
    """Return a parser with the arguments that the small benchmarks share."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--backend", action="append", choices=list(names))
    parser.add_argument("--rounds", type=int, default=rounds, help=f"whose median is printed ({rounds})")
    return parser
