"""Spans and metrics for OpenTelemetry, by its API alone: ``pip install "feedstore[opentelemetry]"``."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Literal

from feedstore.errors import MissingDriverError
from feedstore.metrics.exporter import Exporter, Layer

try:
    from opentelemetry.metrics import MeterProvider, get_meter
    from opentelemetry.trace import SpanKind, TracerProvider, get_tracer
except ImportError as error:
    raise MissingDriverError('opentelemetry-api is not installed; pip install "feedstore[opentelemetry]"') from error

_SCOPE = "feedstore"


class OpenTelemetryMetrics(Exporter):
    """Makes a span of each timed operation, and counts and measures by OpenTelemetry's API.

    A span is named ``RedisTimelineStorage read``. A storage's span is of the kind ``CLIENT``; it records an exception
    that the store raised. For each ``layer`` (``storage``, ``feed``) there are the counters
    ``feedstore.<layer>.calls`` and ``feedstore.<layer>.activities`` and the histogram ``feedstore.<layer>.duration``
    in seconds; ``feedstore.activities.published`` and ``feedstore.activities.removed`` count activities.
    Spans and series have the attributes ``feedstore.name`` (the class) and ``feedstore.operation``.

    ``feedstore.jobs`` counts the attempts of jobs by operation and outcome. The histograms ``feedstore.job.lag`` and
    ``feedstore.job.duration`` have the attributes ``feedstore.operation`` and ``feedstore.priority``.

    Without an SDK, which the application sets up, nothing is recorded.

    Args:
        meter_provider: where the metrics go; the global provider if None.
        tracer_provider: where the spans go; the global provider if None.
    """

    def __init__(
        self, meter_provider: MeterProvider | None = None, tracer_provider: TracerProvider | None = None
    ) -> None:
        self._tracer = get_tracer(_SCOPE, tracer_provider=tracer_provider)
        meter = get_meter(_SCOPE, meter_provider=meter_provider)
        layers: tuple[Layer, ...] = ("storage", "feed")
        self._calls = {layer: meter.create_counter(f"feedstore.{layer}.calls", "{call}") for layer in layers}
        self._activities = {
            layer: meter.create_counter(f"feedstore.{layer}.activities", "{activity}") for layer in layers
        }
        self._durations = {layer: meter.create_histogram(f"feedstore.{layer}.duration", "s") for layer in layers}
        self._events = {
            event: meter.create_counter(f"feedstore.activities.{event}", "{activity}")
            for event in ("published", "removed")
        }
        self._jobs = meter.create_counter("feedstore.jobs", "{job}")
        self._job_lags = meter.create_histogram("feedstore.job.lag", "s")
        self._job_durations = meter.create_histogram("feedstore.job.duration", "s")

    def _count(self, layer: Layer, owner: str, operation: str, activities_count: int) -> None:
        attributes = {"feedstore.name": owner, "feedstore.operation": operation}
        self._calls[layer].add(1, attributes)
        self._activities[layer].add(activities_count, attributes)

    @contextmanager
    def _measured(self, layer: Layer, owner: str, operation: str) -> Iterator[None]:
        attributes = {"feedstore.name": owner, "feedstore.operation": operation}
        kind = SpanKind.CLIENT if layer == "storage" else SpanKind.INTERNAL
        with self._tracer.start_as_current_span(f"{owner} {operation}", kind=kind, attributes=attributes):
            started = time.perf_counter()
            try:
                yield
            finally:
                self._durations[layer].record(time.perf_counter() - started, attributes)

    def _timer(self, layer: Layer, owner: str, operation: str) -> AbstractContextManager[Any]:
        return self._measured(layer, owner, operation)

    def on_job(self, operation: str, priority: str, outcome: str, lag: float, seconds: float) -> None:
        """Count one attempt of a job, and record its lag and its seconds."""
        self._jobs.add(1, {"feedstore.operation": operation, "feedstore.outcome": outcome})
        attributes = {"feedstore.operation": operation, "feedstore.priority": priority}
        self._job_lags.record(lag, attributes)
        self._job_durations.record(seconds, attributes)

    def _count_activity(self, event: Literal["published", "removed"]) -> None:
        self._events[event].add(1)
