"""Forking as a program in C does: no hook of ``os.register_at_fork`` runs."""

from __future__ import annotations

import ctypes
import sys
import time

from polling import poll_until

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
