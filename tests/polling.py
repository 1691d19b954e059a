"""Waiting for something to become true, with a deadline instead of a guess."""

from __future__ import annotations

import time
from collections.abc import Callable

_PAUSE_SECONDS = 0.02
_QUIET_POLLS = 5
_QUIET_SECONDS = 0.004


def poll_until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Return once ``condition()`` is true; raise ``TimeoutError`` naming ``what`` if it is not within ``seconds``."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not happen within {seconds:g} seconds")
        time.sleep(_PAUSE_SECONDS)


def all_threads_sleep(seconds: float) -> None:
    """Return once no thread of this process has run for a while; raise ``TimeoutError`` after ``seconds``.

    A child that C's ``fork`` makes while another thread runs, or waits for its turn in the interpreter, may find a lock
    that no thread holds any more: one of the C library, of a driver or of the interpreter itself.
    """
    times = [-1.0]

    def all_sleep() -> bool:
        times.append(time.process_time())
        return len(times) > _QUIET_POLLS and times[-1] - times[-_QUIET_POLLS] < _QUIET_SECONDS

    poll_until(all_sleep, seconds, "a moment in which all threads sleep")
