"""Forks as a program in C makes them: no hook of ``os.register_at_fork`` runs."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from polling import poll_until

PLAIN_FORKS = pytest.mark.skipif(
    sys.version_info >= (3, 13),
    reason="from Python 3.13 on, a child of a fork without hooks may crash if another thread waited for a lock",
)

_SECONDS = 30.0
_GO = b"1"
_STATES = ("State:", "voluntary_ctxt_switches:", "nonvoluntary_ctxt_switches:")


def fork_in_c() -> int:
    """Fork while no other thread runs, and return as ``os.fork`` does.

    A child that C's ``fork`` makes while another thread runs, or waits for its turn in the interpreter, may wait
    forever: for a lock of the C library or of a driver that no thread holds any more, or for that thread's turn. A
    thread may wake at any moment, so the parent compares the threads before and after the fork. If one ran, the parent
    ends the child before the child did anything, and forks again.

    Raises:
        TimeoutError: The threads did not sleep within 30 seconds.
    """
    # A thread that waits for its turn in the interpreter asks for it after this interval. A child that finds such a
    # request waits forever for the thread, which it does not have.
    interval = sys.getswitchinterval()
    sys.setswitchinterval(_SECONDS)
    processes: list[int | None] = []

    def has_forked() -> bool:
        processes.append(_fork_if_threads_sleep())
        return processes[-1] is not None

    try:
        poll_until(has_forked, _SECONDS, "a fork in a moment in which all threads sleep")
    finally:
        sys.setswitchinterval(interval)
    forked = processes[-1]
    assert forked is not None
    return forked


def _fork_if_threads_sleep() -> int | None:
    """Fork and return as ``os.fork`` does, or return None if another thread ran since just before the fork."""
    permission, permit = os.pipe()
    before = _states_of_other_threads()
    process: int = ctypes.PyDLL(None).fork()
    if process == 0:
        os.close(permit)
        if os.read(permission, 1) != _GO:
            os._exit(1)
        os.close(permission)
        return 0
    have_slept = before == _states_of_other_threads() and all("sleeping" in state for state in before.values())
    if have_slept:
        os.write(permit, _GO)
    else:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
    os.close(permission)
    os.close(permit)
    return process if have_slept else None


def _states_of_other_threads() -> dict[str, str]:
    """Return the state of each other thread of this process, with the number of times that it stopped to run."""
    own, found = str(threading.get_native_id()), {}
    for task in Path("/proc/self/task").iterdir():
        if task.name == own:
            continue
        # A thread that ends in this moment has no status any more.
        with suppress(FileNotFoundError, ProcessLookupError):
            lines = (task / "status").read_text().splitlines()
            found[task.name] = " ".join(line for line in lines if line.startswith(_STATES))
    return found
