"""Polling for a condition, with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable

_PAUSE_SECONDS = 0.02


def poll_until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Return once ``condition()`` is true; raise ``TimeoutError`` naming ``what`` if it is not within ``seconds``."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not happen within {seconds:g} seconds")
        time.sleep(_PAUSE_SECONDS)
