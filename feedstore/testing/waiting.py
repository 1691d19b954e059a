"""Timeouts with which a suite waits for an expected event."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Patience:
    """Seconds after which a wait has failed. On a sound backend it ends far sooner, so they cost nothing."""

    seconds: float


patience = Patience(20.0)
"""The timeout of the suites. Tests of broken backends, which fail by waiting, may shorten it."""
