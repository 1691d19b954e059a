"""The metrics hooks, which do nothing until a subclass counts with them."""

from __future__ import annotations

from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any


class Timer:
    """A context manager that times nothing."""

    def __enter__(self) -> Timer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None


class Metrics:
    """Receives one report of each public call; every hook does nothing here.

    Subclass it, or use :class:`~feedstore.metrics.statsd.StatsdMetrics`,
    :class:`~feedstore.metrics.prometheus.PrometheusMetrics` or
    :class:`~feedstore.metrics.opentelemetry.OpenTelemetryMetrics`, and pass an instance to a backend or a storage
    (``metrics=``). Storages call the hooks whose names contain ``storage``. The others are for feeds, and for the
    applications that have feeds of their own: no storage calls them, so nothing is counted twice.

    The counting hooks run on the calling thread after the store has answered, once for each call, however many
    activities it holds. The writes of a batch are reported after its commit; a call or a batch that raises is not
    reported. Hooks must not raise, and several threads may call them concurrently.
    """

    def storage_timer(self, storage_class: type, operation: str) -> AbstractContextManager[Any] | None:
        """Return a context manager that is open while a storage waits for its store, or None to time nothing.

        Args:
            storage_class: the class of the storage, or of the backend for a batch.
            operation: ``"read"``, ``"write"``, ``"remove"``, ``"add_to_many"``, ``"add_to_each"``,
                ``"remove_from_many"``, or ``"batch"`` for the commit of a batch, whose writes are not timed
                separately. A hydrated read that asks its store more than once opens a timer each time.
        """
        return None

    def on_storage_read(self, storage_class: type, activities_count: int) -> None:
        """Count ``activities_count`` activities or entries that one call has read."""

    def on_storage_write(self, storage_class: type, activities_count: int) -> None:
        """Count ``activities_count`` distinct activities that one call was given to write."""

    def on_storage_remove(self, storage_class: type, activities_count: int) -> None:
        """Count ``activities_count`` distinct activities that one call was given to remove."""

    def on_storage_fanout(self, storage_class: type, operation: str, activities_count: int = 1) -> None:
        """Count a fan-out of ``activities_count`` activities.

        Args:
            storage_class: the class of the timeline storage.
            operation: ``"add_to_many"``, ``"add_to_each"`` or ``"remove_from_many"``.
            activities_count: distinct activities; for ``"add_to_each"`` the deliveries.
        """

    def fanout_timer(self, feed_class: type) -> AbstractContextManager[Any]:
        """Return a context manager that is open while a feed is fanned out."""
        return Timer()

    def feed_reads_timer(self, feed_class: type) -> AbstractContextManager[Any]:
        """Return a context manager that is open while a feed is read."""
        return Timer()

    def on_feed_read(self, feed_class: type, activities_count: int) -> None:
        """Count ``activities_count`` activities that were read from a feed."""

    def on_feed_write(self, feed_class: type, activities_count: int) -> None:
        """Count ``activities_count`` activities that were written to a feed."""

    def on_feed_remove(self, feed_class: type, activities_count: int) -> None:
        """Count ``activities_count`` activities that were removed from a feed."""

    def on_fanout(self, feed_class: type, operation: str, activities_count: int = 1) -> None:
        """Count a fan-out of ``activities_count`` activities to feeds; ``operation`` names it."""

    def on_job(self, operation: str, priority: str, outcome: str, lag: float, seconds: float) -> None:
        """Count one attempt of a job of a fan-out; executors call it, but not for inline jobs.

        Args:
            operation: the operation of the job, such as ``"add"``.
            priority: ``"high"``, ``"normal"`` or ``"low"``.
            outcome: ``"done"``, ``"retried"``, ``"released"`` or ``"dead"``.
            lag: the seconds between the publisher's call and the begin of the attempt.
            seconds: the seconds that the attempt took.
        """

    def on_activity_published(self) -> None:
        """Count one activity that a feed manager or an application has published."""

    def on_activity_removed(self) -> None:
        """Count one activity that a feed manager or an application has removed."""
