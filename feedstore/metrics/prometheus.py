"""Metrics for Prometheus, by the package ``prometheus_client``: ``pip install "feedstore[prometheus]"``."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal

from feedstore.errors import InvalidValueError, MissingDriverError
from feedstore.metrics.exporter import Exporter, Layer
from feedstore.shown import shown

try:
    from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram
except ImportError as error:
    raise MissingDriverError('prometheus_client is not installed; pip install "feedstore[prometheus]"') from error

BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper ends in seconds: a read takes microseconds in memory, and a large fan-out may take seconds."""

JOB_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
"""Upper ends in seconds for jobs: a lag is milliseconds on an idle machine, and minutes under overload."""

_LAYERS: tuple[Layer, ...] = ("storage", "feed")


class PrometheusMetrics(Exporter):
    """Counts calls and activities and measures seconds in a Prometheus registry.

    For each ``layer`` (``storage``, ``feed``) there are ``feedstore_<layer>_calls_total``,
    ``feedstore_<layer>_activities_total`` and the histogram ``feedstore_<layer>_seconds``, with the labels ``name``
    (the class) and ``operation``. ``feedstore_activities_published_total`` and ``feedstore_activities_removed_total``
    have no labels. ``feedstore_jobs_total`` has the labels ``operation`` and ``outcome``, and the histograms
    ``feedstore_job_lag_seconds`` and ``feedstore_job_seconds`` have ``operation`` and ``priority``.

    Args:
        registry: where the series are registered. A registry takes one instance of this class; share it between
            backends.
        namespace: the first word of each name.
        buckets: upper ends of the histograms' buckets, in seconds.

    Raises:
        InvalidValueError: The registry holds series of these names already.
    """

    def __init__(
        self,
        registry: CollectorRegistry = REGISTRY,
        *,
        namespace: str = "feedstore",
        buckets: Sequence[float] = BUCKETS,
    ) -> None:
        labels = ("name", "operation")

        def counter(name: str, meaning: str, labels: Sequence[str] = ()) -> Counter:
            return Counter(name, meaning, labels, namespace=namespace, registry=registry)

        try:
            self._calls = {one: counter(f"{one}_calls", f"Calls of a {one}.", labels) for one in _LAYERS}
            self._activities = {
                one: counter(f"{one}_activities", f"Activities in calls of a {one}.", labels) for one in _LAYERS
            }
            self._seconds = {
                one: Histogram(
                    f"{one}_seconds", f"Seconds in a {one}.", labels, namespace, registry=registry, buckets=buckets
                )
                for one in _LAYERS
            }
            self._jobs = counter("jobs", "Attempts of jobs.", ("operation", "outcome"))
            self._job_lags, self._job_seconds = (
                Histogram(name, meaning, ("operation", "priority"), namespace, registry=registry, buckets=JOB_BUCKETS)
                for name, meaning in (
                    ("job_lag_seconds", "Seconds between a publisher's call and the begin of a job."),
                    ("job_seconds", "Seconds of a job."),
                )
            )
            self._events = {
                event: counter(f"activities_{event}", f"Activities that were {event}.")
                for event in ("published", "removed")
            }
        except ValueError as error:
            raise InvalidValueError(
                f"the registry refused the series of namespace {shown(namespace)}: {error}; pass the first instance of "
                "PrometheusMetrics to every backend, or choose another registry or namespace"
            ) from error

    def _count(self, layer: Layer, owner: str, operation: str, activities_count: int) -> None:
        self._calls[layer].labels(owner, operation).inc()
        self._activities[layer].labels(owner, operation).inc(activities_count)

    def _timer(self, layer: Layer, owner: str, operation: str) -> AbstractContextManager[Any]:
        return self._seconds[layer].labels(owner, operation).time()

    def on_job(self, operation: str, priority: str, outcome: str, lag: float, seconds: float) -> None:
        """Count one attempt of a job, and observe its lag and its seconds."""
        self._jobs.labels(operation, outcome).inc()
        self._job_lags.labels(operation, priority).observe(lag)
        self._job_seconds.labels(operation, priority).observe(seconds)

    def _count_activity(self, event: Literal["published", "removed"]) -> None:
        self._events[event].inc()
