"""The implementations of the metrics, each against the library that it reports to."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from prometheus_client import CollectorRegistry, generate_latest
from statsd import StatsClient

from feedstore import Activity, connect
from feedstore.backends.memory import InMemoryTimelineStorage
from feedstore.errors import InvalidValueError
from feedstore.metrics import Metrics
from feedstore.metrics.opentelemetry import OpenTelemetryMetrics
from feedstore.metrics.prometheus import PrometheusMetrics
from feedstore.metrics.statsd import StatsdMetrics

LIKES = [Activity("ann", "like", f"photo:{number}") for number in range(3)]
STORAGE = "InMemoryTimelineStorage"


class Feed:
    """A class of feeds, as an application has it."""


class BrokenTimelines(InMemoryTimelineStorage):
    """A storage whose reads fail."""

    def _get_slice(self, *arguments: Any, **options: Any) -> Any:
        raise OSError("the store is gone")


def use(metrics: Metrics) -> None:
    """Make one call of each operation of a timeline storage, and one batch."""
    with connect("memory://", metrics=metrics) as backend:
        timelines = backend.timeline_storage()
        timelines.add_many("key", LIKES)
        timelines.add_to_many(["a", "b"], LIKES[:2])
        timelines.get_slice("key", 0, 2)
        timelines.remove("key", LIKES[0])
        with backend.batch() as batch:
            batch.timelines.add("key", LIKES[0])


def use_feed(metrics: Metrics) -> None:
    """Report as a layer of feeds does."""
    with metrics.feed_reads_timer(Feed), metrics.fanout_timer(Feed):
        metrics.on_feed_read(Feed, 5)
    metrics.on_feed_write(Feed, 4)
    metrics.on_feed_remove(Feed, 3)
    metrics.on_fanout(Feed, "add_many", 2)
    metrics.on_activity_published()
    metrics.on_activity_removed()


class StatsdServer:
    """A UDP socket that receives the packets to a statsd server."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(30)
        self.port: int = self.socket.getsockname()[1]

    def receive(self, count: int) -> list[str]:
        """Return so many datagrams, the measured milliseconds of timers replaced by ``T``."""
        found = [self.socket.recv(2048).decode() for _ in range(count)]
        return [f"{one.partition(':')[0]}:T|ms" if one.endswith("|ms") else one for one in found]


@pytest.fixture
def statsd_server() -> Iterator[StatsdServer]:
    server = StatsdServer()
    with closing(server.socket):
        yield server


def test_statsd_receives_counters_and_timers_of_storages(statsd_server: StatsdServer) -> None:
    metrics = StatsdMetrics("127.0.0.1", statsd_server.port, prefix="app")
    with closing(metrics.statsd):
        use(metrics)
    assert statsd_server.receive(10) == [
        f"app.{STORAGE}.write_latency:T|ms",
        f"app.{STORAGE}.writes:3|c",
        f"app.{STORAGE}.add_to_many_latency:T|ms",
        f"app.{STORAGE}.fanout.add_to_many:2|c",
        f"app.{STORAGE}.read_latency:T|ms",
        f"app.{STORAGE}.reads:2|c",
        f"app.{STORAGE}.remove_latency:T|ms",
        f"app.{STORAGE}.deletes:1|c",
        "app.MemoryBackend.batch_latency:T|ms",
        f"app.{STORAGE}.writes:1|c",
    ]


def test_statsd_has_the_ancestor_s_names_for_feeds(statsd_server: StatsdServer) -> None:
    metrics = StatsdMetrics(host="127.0.0.1", port=statsd_server.port)
    with closing(metrics.statsd):
        use_feed(metrics)
    assert statsd_server.receive(8) == [
        "Feed.reads:5|c",
        "Feed.fanout_latency:T|ms",
        "Feed.read_latency:T|ms",
        "Feed.writes:4|c",
        "Feed.deletes:3|c",
        "Feed.fanout.add_many:2|c",
        "activities.published:1|c",
        "activities.removed:1|c",
    ]


def test_a_statsd_client_of_the_application_is_used(statsd_server: StatsdServer) -> None:
    with closing(StatsClient("127.0.0.1", statsd_server.port)) as client, client.pipeline() as pipeline:
        StatsdMetrics(client=pipeline).on_storage_read(Feed, 7)
    assert statsd_server.receive(1) == ["Feed.reads:7|c"]


def test_prometheus_exposes_series_of_storages() -> None:
    registry = CollectorRegistry()
    use(PrometheusMetrics(registry))
    lines = generate_latest(registry).decode().splitlines()
    for operation, calls, activities in (("write", 2, 4), ("add_to_many", 1, 2), ("read", 1, 2), ("remove", 1, 1)):
        labels = f'{{name="{STORAGE}",operation="{operation}"}}'
        assert f"feedstore_storage_calls_total{labels} {calls}.0" in lines
        assert f"feedstore_storage_activities_total{labels} {activities}.0" in lines
        assert f"feedstore_storage_seconds_count{labels} 1.0" in lines
    batch = 'feedstore_storage_seconds_count{name="MemoryBackend",operation="batch"} 1.0'
    bucket = f'feedstore_storage_seconds_bucket{{le="0.0001",name="{STORAGE}",operation="read"}} '
    assert batch in lines
    assert any(line.startswith(bucket) for line in lines)
    assert not any(line.startswith("feedstore_feed_") and "{" in line for line in lines)


def test_prometheus_exposes_series_of_feeds() -> None:
    registry = CollectorRegistry()
    use_feed(PrometheusMetrics(registry, namespace="app", buckets=(1.0,)))
    found = {
        (sample.name, sample.labels.get("operation")): sample.value
        for metric in registry.collect()
        for sample in metric.samples
    }
    assert found["app_feed_activities_total", "read"] == 5
    assert found["app_feed_activities_total", "write"] == 4
    assert found["app_feed_activities_total", "remove"] == 3
    assert found["app_feed_activities_total", "add_many"] == 2
    assert found["app_feed_calls_total", "add_many"] == 1
    assert found["app_feed_seconds_count", "read"] == found["app_feed_seconds_count", "fanout"] == 1
    assert found["app_activities_published_total", None] == found["app_activities_removed_total", None] == 1


def test_a_registry_that_has_the_series_already_is_refused() -> None:
    registry = CollectorRegistry()
    PrometheusMetrics(registry)
    with pytest.raises(InvalidValueError, match="pass the first instance"):
        PrometheusMetrics(registry)


class Telemetry:
    """OpenTelemetry's SDK, which keeps spans and metrics in memory."""

    def __init__(self) -> None:
        self.spans = InMemorySpanExporter()
        self.reader = InMemoryMetricReader()
        tracers = TracerProvider()
        tracers.add_span_processor(SimpleSpanProcessor(self.spans))
        self.tracers = tracers
        self.metrics = OpenTelemetryMetrics(MeterProvider(metric_readers=[self.reader]), tracers)

    def points(self) -> dict[tuple[str, Any], Any]:
        """Return ``{(instrument, operation): value, or count of a histogram}``."""
        data = self.reader.get_metrics_data()
        assert data is not None
        found: dict[tuple[str, Any], Any] = {}
        for resource in data.resource_metrics:
            for scope in resource.scope_metrics:
                assert scope.scope.name == "feedstore"
                for metric in scope.metrics:
                    for point in metric.data.data_points:
                        operation = (point.attributes or {}).get("feedstore.operation")
                        found[metric.name, operation] = point.count if hasattr(point, "count") else point.value
        return found


def test_opentelemetry_records_spans_and_series_of_storages() -> None:
    telemetry = Telemetry()
    with telemetry.tracers.get_tracer("app").start_as_current_span("request") as request:
        use(telemetry.metrics)
    *spans, last = telemetry.spans.get_finished_spans()
    names = [f"{STORAGE} {operation}" for operation in ("write", "add_to_many", "read", "remove")]
    assert [span.name for span in spans] == [*names, "MemoryBackend batch"]
    assert last.name == "request"
    for span in spans:
        assert span.kind is SpanKind.CLIENT
        assert span.parent is not None
        assert span.parent.span_id == request.get_span_context().span_id
    assert dict(spans[2].attributes or {}) == {"feedstore.name": STORAGE, "feedstore.operation": "read"}
    points = telemetry.points()
    assert points["feedstore.storage.calls", "write"] == 2
    assert points["feedstore.storage.activities", "write"] == 4
    assert points["feedstore.storage.activities", "add_to_many"] == 2
    assert points["feedstore.storage.duration", "read"] == points["feedstore.storage.duration", "batch"] == 1
    assert not any(name.startswith("feedstore.feed") for name, _ in points)


def test_opentelemetry_records_series_of_feeds() -> None:
    telemetry = Telemetry()
    use_feed(telemetry.metrics)
    assert [(span.name, span.kind) for span in telemetry.spans.get_finished_spans()] == [
        ("Feed fanout", SpanKind.INTERNAL),
        ("Feed read", SpanKind.INTERNAL),
    ]
    points = telemetry.points()
    assert points["feedstore.feed.activities", "read"] == 5
    assert points["feedstore.feed.activities", "add_many"] == 2
    assert points["feedstore.feed.duration", "fanout"] == 1
    assert points["feedstore.activities.published", None] == points["feedstore.activities.removed", None] == 1


def test_a_span_records_the_store_s_failure() -> None:
    telemetry = Telemetry()
    with pytest.raises(OSError, match="the store is gone"):
        BrokenTimelines(metrics=telemetry.metrics).get_slice("key", 0, 5)
    (span,) = telemetry.spans.get_finished_spans()
    assert span.status.status_code is StatusCode.ERROR
    assert [event.name for event in span.events] == ["exception"]
    points = telemetry.points()
    assert points["feedstore.storage.duration", "read"] == 1
    assert ("feedstore.storage.calls", "read") not in points


def test_a_statsd_server_that_is_down_disturbs_no_call(statsd_server: StatsdServer) -> None:
    statsd_server.socket.close()
    metrics = StatsdMetrics("127.0.0.1", statsd_server.port)
    with closing(metrics.statsd):
        use(metrics)
        use_feed(metrics)


def test_opentelemetry_without_an_sdk_disturbs_no_call() -> None:
    use(OpenTelemetryMetrics())
    use_feed(OpenTelemetryMetrics())


@pytest.mark.parametrize("name", ["statsd", "prometheus", "opentelemetry"])
def test_a_missing_package_is_named_with_its_extra(name: str) -> None:
    package = {"prometheus": "prometheus_client"}.get(name, name)
    script = (
        f"import sys; sys.modules[{package!r}] = None\n"
        "from feedstore.errors import MissingDriverError\n"
        f"try:\n    import feedstore.metrics.{name}\nexcept MissingDriverError as error:\n    print(error)\n"
    )
    printed = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    assert f'pip install "feedstore[{name}]"' in printed


def test_nothing_is_imported_before_it_is_asked_for() -> None:
    script = "import sys, feedstore.metrics; feedstore.connect('memory://').timeline_storage(); print(*sys.modules)"
    printed = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    assert {name.split(".")[0] for name in printed.split()}.isdisjoint({"statsd", "prometheus_client", "opentelemetry"})
