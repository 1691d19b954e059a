"""Timeouts with which a suite waits for an expected event."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

_PAUSE_SECONDS = 0.005


@dataclass
class Patience:
    """Seconds after which a wait has failed. On a sound backend it ends far sooner, so they cost nothing."""

    seconds: float


patience = Patience(20.0)
"""The timeout of the suites. Tests of broken backends, which fail by waiting, may shorten it."""


def wait_until(condition: Callable[[], object], event: str) -> None:
    """Return once ``condition()`` is true. Raise an error that names the event if it does not happen in time."""
    pause, until = threading.Event(), time.monotonic() + patience.seconds
    while not condition():
        if time.monotonic() > until:
            raise AssertionError(f"{event} did not happen within {patience.seconds:g} seconds")
        pause.wait(_PAUSE_SECONDS)
