"""Metrics: what a storage tells about each public call."""

from feedstore.metrics.base import Metrics, Timer

__all__ = ["Metrics", "Timer"]
