"""Forks as a program in C makes them: no hook of ``os.register_at_fork`` runs."""

from __future__ import annotations

import ctypes
import sys
import time

import pytest

from polling import poll_until

PLAIN_FORKS = pytest.mark.skipif(
    sys.version_info >= (3, 13),
    reason="from Python 3.13 on, a child of a fork without hooks may crash if another thread waited for a lock",
)

_SECONDS = 30.0
_QUIET_POLLS = 5
_QUIET_SECONDS = 0.004


def fork_in_c() -> int:
    """Fork while no other thread runs, and return as ``os.fork`` does."""
    # A thread that waits for its turn in the interpreter asks for it after this interval. A child that finds such a
    # request waits forever for the thread, which it does not have.
    interval = sys.getswitchinterval()
    sys.setswitchinterval(_SECONDS)
    try:
        all_threads_sleep()
        process: int = ctypes.PyDLL(None).fork()
    finally:
        sys.setswitchinterval(interval)
    return process


def all_threads_sleep() -> None:
    """Return once no thread of this process has run for a while; raise ``TimeoutError`` if that does not happen.

    A child that C's ``fork`` makes while another thread runs, or waits for its turn in the interpreter, may find a lock
    that no thread holds any more: one of the C library, of a driver or of the interpreter itself.
    """
    times = [-1.0]

    def all_sleep() -> bool:
        times.append(time.process_time())
        return len(times) > _QUIET_POLLS and times[-1] - times[-_QUIET_POLLS] < _QUIET_SECONDS

    poll_until(all_sleep, _SECONDS, "a moment in which all threads sleep")
