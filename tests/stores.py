"""The backend table: each kind of backend, and the store on which the suites open it.

A test that takes a fixture which depends on ``backend_kind`` (see ``conftest.py``) runs once for each kind. A new
backend is one more entry in :data:`STORES`.
"""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import ExitStack
from typing import Protocol

import pytest

from feedstore import connect
from feedstore.storage import Backend


class Store(ABC):
    """One store of one kind, on which backends are opened under any namespace."""

    url: str | None

    @abstractmethod
    def open(self, namespace: str) -> Backend:
        """Open a backend on the store under ``namespace``."""

    @abstractmethod
    def close(self) -> None:
        """Close all backends that :meth:`open` opened."""


class MemoryStore(Store):
    """A store in memory. It has no URL, so all its backends share one session."""

    url = None

    def __init__(self) -> None:
        self._first = connect("memory://")

    def open(self, namespace: str) -> Backend:
        return self._first.with_namespace(namespace)

    def close(self) -> None:
        self._first.close()


class UrlStore(Store):
    """A store at a URL. Each backend connects for itself, as another process would."""

    url: str

    def __init__(self, url: str) -> None:
        self.url = url
        self._opened = ExitStack()

    def open(self, namespace: str) -> Backend:
        return self._opened.enter_context(connect(self.url, namespace=namespace))

    def close(self) -> None:
        self._opened.close()


STORES: dict[str, Callable[[pytest.FixtureRequest], Store]] = {
    "memory": lambda request: MemoryStore(),
    "sqlite": lambda request: UrlStore(request.getfixturevalue("sqlite_url")),
    "postgresql": lambda request: UrlStore(request.getfixturevalue("postgresql_url")),
    "redis": lambda request: UrlStore(request.getfixturevalue("redis_url")),
    "redis_cluster": lambda request: UrlStore(request.getfixturevalue("redis_cluster_url")),
    "cassandra": lambda request: UrlStore(request.getfixturevalue("cassandra_url")),
}


class OpenBackend(Protocol):
    """Type of the fixture ``open_backend``."""

    def __call__(self, namespace: str | None = None) -> Backend:
        """Open a backend on the test's store, under a fresh namespace if none is given."""


def fresh_namespace() -> str:
    """Return an unused namespace."""
    return f"test-{uuid.uuid4().hex}"
