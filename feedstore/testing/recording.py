"""Metrics that remember what they were told."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from feedstore.metrics import Metrics, Timer


class RecordingMetrics(Metrics):
    """Keeps ``(hook, feed class, …)`` of each call in ``calls``, in order."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def take(self) -> list[tuple[Any, ...]]:
        """Return the calls so far, and begin anew."""
        calls, self.calls = self.calls, []
        return calls

    def fanout_timer(self, feed_class: type) -> Timer:
        """Record the timer's opening and closing."""
        return _RecordingTimer(self.calls, feed_class)

    def on_feed_read(self, feed_class: type, activities_count: int) -> None:
        """Record a read."""
        self.calls.append(("read", feed_class, activities_count))

    def on_feed_write(self, feed_class: type, activities_count: int) -> None:
        """Record a write."""
        self.calls.append(("write", feed_class, activities_count))

    def on_feed_remove(self, feed_class: type, activities_count: int) -> None:
        """Record a removal."""
        self.calls.append(("remove", feed_class, activities_count))

    def on_fanout(self, feed_class: type, operation: str, activities_count: int = 1) -> None:
        """Record a fan-out."""
        self.calls.append((operation, feed_class, activities_count))


class _RecordingTimer(Timer):
    def __init__(self, calls: list[tuple[Any, ...]], feed_class: type) -> None:
        self._calls = calls
        self._feed_class = feed_class

    def __enter__(self) -> Timer:
        self._calls.append(("timer opens", self._feed_class))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._calls.append(("timer closes", self._feed_class))
