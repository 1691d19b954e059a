"""Metrics that record their calls, for tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from feedstore.metrics import Metrics


class RecordingMetrics(Metrics):
    """Keeps ``(operation, class, …)`` of each call in ``calls``, and of each timer that was closed in ``timed``, in
    order.

    The hooks of feeds are recorded with ``"feed"`` before the operation, so a test sees when a storage calls them.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.timed: list[tuple[str, type]] = []
        self.open_timers = 0

    def take(self) -> list[tuple[Any, ...]]:
        """Return the calls since the last ``take``."""
        calls, self.calls = self.calls, []
        return calls

    def take_timed(self) -> list[tuple[str, type]]:
        """Return ``(operation, class)`` of the timers that were closed since the last ``take_timed``."""
        timed, self.timed = self.timed, []
        return timed

    @contextmanager
    def _recorded(self, operation: str, owner: type) -> Iterator[None]:
        self.open_timers += 1
        try:
            yield
        finally:
            self.open_timers -= 1
            self.timed.append((operation, owner))

    def storage_timer(self, storage_class: type, operation: str) -> AbstractContextManager[Any]:
        """Record the timer when it closes."""
        return self._recorded(operation, storage_class)

    def on_storage_read(self, storage_class: type, activities_count: int) -> None:
        """Record a read."""
        self.calls.append(("read", storage_class, activities_count))

    def on_storage_write(self, storage_class: type, activities_count: int) -> None:
        """Record a write."""
        self.calls.append(("write", storage_class, activities_count))

    def on_storage_remove(self, storage_class: type, activities_count: int) -> None:
        """Record a removal."""
        self.calls.append(("remove", storage_class, activities_count))

    def on_storage_fanout(self, storage_class: type, operation: str, activities_count: int = 1) -> None:
        """Record a fan-out."""
        self.calls.append((operation, storage_class, activities_count))

    def feed_reads_timer(self, feed_class: type) -> AbstractContextManager[Any]:
        """Record the timer of a feed's read when it closes."""
        return self._recorded("feed read", feed_class)

    def fanout_timer(self, feed_class: type) -> AbstractContextManager[Any]:
        """Record the timer of a feed's fan-out when it closes."""
        return self._recorded("feed fanout", feed_class)

    def on_feed_read(self, feed_class: type, activities_count: int) -> None:
        """Record a feed's read."""
        self.calls.append(("feed", "read", feed_class, activities_count))

    def on_feed_write(self, feed_class: type, activities_count: int) -> None:
        """Record a feed's write."""
        self.calls.append(("feed", "write", feed_class, activities_count))

    def on_feed_remove(self, feed_class: type, activities_count: int) -> None:
        """Record a feed's removal."""
        self.calls.append(("feed", "remove", feed_class, activities_count))

    def on_fanout(self, feed_class: type, operation: str, activities_count: int = 1) -> None:
        """Record a feed's fan-out."""
        self.calls.append(("feed", operation, feed_class, activities_count))

    def on_activity_published(self) -> None:
        """Record an activity that was published."""
        self.calls.append(("feed", "published"))

    def on_activity_removed(self) -> None:
        """Record an activity that was taken back."""
        self.calls.append(("feed", "removed"))
