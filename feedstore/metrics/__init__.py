"""Metrics: the hooks that storages and feeds report to.

Implementations are modules of their own, which import their packages: :mod:`feedstore.metrics.statsd`,
:mod:`feedstore.metrics.prometheus` and :mod:`feedstore.metrics.opentelemetry`.
"""

from feedstore.metrics.base import Metrics, Timer

__all__ = ["Metrics", "Timer"]
