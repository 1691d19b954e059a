"""The store, the clock and the watchers of the tests of logs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from feedstore.events import BackendEventStore, connect_events
from feedstore.logs import LogOptions, LogWatcher
from logs.growing import Clock, Watch


@pytest.fixture
def store() -> Iterator[BackendEventStore]:
    """An empty event store."""
    with connect_events("memory://") as store:
        yield store


@pytest.fixture
def clock() -> Clock:
    """The clock of the watchers."""
    return Clock()


@pytest.fixture
def watch(store: BackendEventStore, clock: Clock) -> Iterator[Watch]:
    """A callable that makes watchers, which the test polls; ``clock`` gives their time."""
    with ExitStack() as opened:

        def watch(*paths: Path, **options: Any) -> LogWatcher:
            from_start = options.pop("from_start", False)
            made = LogWatcher(store, map(str, paths), LogOptions(**options), from_start=from_start, clock=clock)
            return opened.enter_context(made)

        yield watch
