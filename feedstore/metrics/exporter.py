"""The hooks of all metrics that are exported, expressed by three methods that each exporter writes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from typing import Any, Literal

from feedstore.metrics.base import Metrics

Layer = Literal["storage", "feed"]
"""The layer of a report; both layers count the same activities, so never add them up."""


class Exporter(Metrics, ABC):
    """Metrics for a monitoring system: a counter and a timer for each layer, class and operation."""

    @abstractmethod
    def _count(self, layer: Layer, owner: str, operation: str, activities_count: int) -> None:
        """Count one call and its activities; ``owner`` is the name of the storage's or the feed's class."""

    @abstractmethod
    def _timer(self, layer: Layer, owner: str, operation: str) -> AbstractContextManager[Any]:
        """Return a context manager that measures how long it is open."""

    @abstractmethod
    def _count_activity(self, event: Literal["published", "removed"]) -> None:
        """Count one activity that an application has published or taken back."""

    def storage_timer(self, storage_class: type, operation: str) -> AbstractContextManager[Any]:
        """Return a timer of the storage's class and the operation."""
        return self._timer("storage", storage_class.__name__, operation)

    def on_storage_read(self, storage_class: type, activities_count: int) -> None:
        """Count a read."""
        self._count("storage", storage_class.__name__, "read", activities_count)

    def on_storage_write(self, storage_class: type, activities_count: int) -> None:
        """Count a write."""
        self._count("storage", storage_class.__name__, "write", activities_count)

    def on_storage_remove(self, storage_class: type, activities_count: int) -> None:
        """Count a removal."""
        self._count("storage", storage_class.__name__, "remove", activities_count)

    def on_storage_fanout(self, storage_class: type, operation: str, activities_count: int = 1) -> None:
        """Count a fan-out."""
        self._count("storage", storage_class.__name__, operation, activities_count)

    def fanout_timer(self, feed_class: type) -> AbstractContextManager[Any]:
        """Return a timer of the feed's class and its fan-outs."""
        return self._timer("feed", feed_class.__name__, "fanout")

    def feed_reads_timer(self, feed_class: type) -> AbstractContextManager[Any]:
        """Return a timer of the feed's class and its reads."""
        return self._timer("feed", feed_class.__name__, "read")

    def on_feed_read(self, feed_class: type, activities_count: int) -> None:
        """Count a read."""
        self._count("feed", feed_class.__name__, "read", activities_count)

    def on_feed_write(self, feed_class: type, activities_count: int) -> None:
        """Count a write."""
        self._count("feed", feed_class.__name__, "write", activities_count)

    def on_feed_remove(self, feed_class: type, activities_count: int) -> None:
        """Count a removal."""
        self._count("feed", feed_class.__name__, "remove", activities_count)

    def on_fanout(self, feed_class: type, operation: str, activities_count: int = 1) -> None:
        """Count a fan-out."""
        self._count("feed", feed_class.__name__, operation, activities_count)

    def on_activity_published(self) -> None:
        """Count one published activity."""
        self._count_activity("published")

    def on_activity_removed(self) -> None:
        """Count one activity that was taken back."""
        self._count_activity("removed")
