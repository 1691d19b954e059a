"""The metrics hooks, which do nothing until a subclass counts with them."""

from __future__ import annotations

from types import TracebackType


class Timer:
    """A context manager that times nothing."""

    def __enter__(self) -> Timer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None


class Metrics:
    """Receives one call for each public call of a storage; every hook does nothing here.

    Subclass it and hand an instance to a backend or a storage (``metrics=``). Hooks run on the calling thread, after
    the store has answered, and once a call however many activities it holds; they must not raise. ``feed_class`` is
    the class of the storage.
    """

    def fanout_timer(self, feed_class: type) -> Timer:
        """Return a context manager that is open while one fan-out runs."""
        return Timer()

    def feed_reads_timer(self, feed_class: type) -> Timer:
        """Return a context manager that is open while one feed is read."""
        return Timer()

    def on_feed_read(self, feed_class: type, activities_count: int) -> None:
        """Count ``activities_count`` activities or entries that one call has read."""

    def on_feed_write(self, feed_class: type, activities_count: int) -> None:
        """Count ``activities_count`` activities that one call was given to write."""

    def on_feed_remove(self, feed_class: type, activities_count: int) -> None:
        """Count ``activities_count`` activities that one call was given to remove."""

    def on_fanout(self, feed_class: type, operation: str, activities_count: int = 1) -> None:
        """Count a fan-out of ``activities_count`` activities; ``operation`` is ``"add_to_many"`` or
        ``"remove_from_many"``.
        """

    def on_activity_published(self) -> None:
        """Count one activity that an application has published."""

    def on_activity_removed(self) -> None:
        """Count one activity that an application has taken back."""
