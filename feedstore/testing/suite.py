"""Base class of the suites: a backend in a fresh namespace, and its storages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import pytest

from feedstore.serializers import MsgpackSerializer
from feedstore.shown import shown
from feedstore.storage import ActivityStorage, Backend, KvStorage, Notifier, QueueStorage, TimelineStorage


class OpenBackend(Protocol):
    """Type of the fixture ``open_backend``, which closes the backends that it opens."""

    def __call__(self, namespace: str | None = None) -> Backend:
        """Open a backend on the shared store, in the given namespace or in an unused one."""


class Suite:
    """The base of the suites: fixtures over ``open_backend``, which the inheriting class or a conftest provides."""

    @pytest.fixture
    def backend(self, open_backend: OpenBackend) -> Backend:
        """A backend under a fresh namespace."""
        return open_backend()

    @pytest.fixture
    def activities(self, backend: Backend) -> ActivityStorage:
        """The backend's activity storage."""
        return backend.activity_storage()

    @pytest.fixture
    def timelines(self, backend: Backend) -> TimelineStorage:
        """The backend's timeline storage, which keeps references."""
        return backend.timeline_storage()

    @pytest.fixture
    def payloads(self, backend: Backend) -> TimelineStorage:
        """A timeline storage that keeps whole activities beside their ids."""
        return backend.timeline_storage(serializer_class=MsgpackSerializer)

    @pytest.fixture
    def kv(self, backend: Backend) -> KvStorage:
        """The backend's key-value storage."""
        return backend.kv_storage()

    @pytest.fixture
    def queue(self, backend: Backend) -> QueueStorage:
        """The backend's queue, with a visibility timeout that is longer than a test."""
        return backend.queue()

    @pytest.fixture
    def notifier(self, backend: Backend) -> Notifier:
        """The backend's notifier."""
        return backend.notifier()


@contextmanager
def naming(*values: object) -> Iterator[None]:
    """Add the values that one pass of a loop tries to the report of its failure."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"with {', '.join(map(shown, values))}")
        raise


def counted(backend: Backend, number: int) -> int | None:
    """Return ``number``, the expected count of a write, or None if the backend has no exact counts."""
    return number if backend.abilities.exact_counts else None
