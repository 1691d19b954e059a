"""The store of the tests of logs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from feedstore.events import BackendEventStore, connect_events


@pytest.fixture
def store() -> Iterator[BackendEventStore]:
    """An empty event store."""
    with connect_events("memory://") as store:
        yield store
