"""Metrics for statsd, by the package ``statsd``: ``pip install "feedstore[statsd]"``."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Literal

from feedstore.errors import MissingDriverError
from feedstore.metrics.exporter import Exporter, Layer

try:
    from statsd import StatsClient
except ImportError as error:
    raise MissingDriverError('statsd is not installed; pip install "feedstore[statsd]"') from error

_COUNTERS = {"read": "reads", "write": "writes", "remove": "deletes"}


class StatsdMetrics(Exporter):
    """Sends a counter and a timer for each class and operation to a statsd server over UDP.

    The names are those of stream_framework's ``StatsdMetrics``: ``RedisTimelineStorage.reads``, ``.writes``,
    ``.deletes``, ``.fanout.add_to_many``, and for the times ``RedisTimelineStorage.read_latency``. Feeds are counted
    by the same names of their own classes. Jobs are counted as ``jobs.add.done``, with the times ``jobs.normal.lag``
    and ``jobs.add.seconds``. A server that is down loses reports and disturbs no call.

    Args:
        host: name or address of the statsd server; a name is resolved here, once.
        port: UDP port of the server.
        prefix: text before each name, with a point between.
        client: a client of the package ``statsd`` to use instead; one over TCP, for instance.
    """

    def __init__(
        self, host: str = "localhost", port: int = 8125, prefix: str | None = None, *, client: Any = None
    ) -> None:
        self.statsd = StatsClient(host, port, prefix) if client is None else client

    def _count(self, layer: Layer, owner: str, operation: str, activities_count: int) -> None:
        self.statsd.incr(f"{owner}.{_COUNTERS.get(operation, f'fanout.{operation}')}", activities_count)

    def _timer(self, layer: Layer, owner: str, operation: str) -> AbstractContextManager[Any]:
        timer: AbstractContextManager[Any] = self.statsd.timer(f"{owner}.{operation}_latency")
        return timer

    def on_job(self, operation: str, priority: str, outcome: str, lag: float, seconds: float) -> None:
        """Send a counter of the outcome, and the lag and the time of the job."""
        self.statsd.incr(f"jobs.{operation}.{outcome}")
        self.statsd.timing(f"jobs.{priority}.lag", lag * 1000)
        self.statsd.timing(f"jobs.{operation}.seconds", seconds * 1000)

    def _count_activity(self, event: Literal["published", "removed"]) -> None:
        self.statsd.incr(f"activities.{event}")
