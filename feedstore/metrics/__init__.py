"""Metrics: the hooks that storages and feeds report to.

Implementations are modules of their own, which import their packages: ``feedstore.metrics.statsd``,
``feedstore.metrics.prometheus`` and ``feedstore.metrics.opentelemetry``.
"""

from feedstore.metrics.base import Metrics, Timer

__all__ = ["Metrics", "Timer"]
