"""Running something in a forked process, and in threads, with a deadline."""

from __future__ import annotations

import os
import pickle
import selectors
import signal
import threading
import traceback
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

CHILD_SECONDS = 30.0
THREAD_SECONDS = 60.0


class ChildError(AssertionError):
    """Raised if the function in a child process failed or did not end. The message holds the traceback."""


class Child:
    """Forked process that runs ``function`` and returns its result, which must be picklable.

    It never returns into the caller's code: it ends with ``os._exit``, so no clean-up of the parent runs twice.
    """

    def __init__(self, function: Callable[[], Any]) -> None:
        self._reader, writer = os.pipe()
        self._process = _fork()
        if self._process == 0:
            _run_and_exit(function, writer)
        os.close(writer)

    def result(self, seconds: float = CHILD_SECONDS) -> Any:
        """Wait for the end and return the result; raise :class:`ChildError` if it failed or takes too long."""
        data, status = self._end(seconds)
        if data is None:
            raise ChildError(f"a child process did not end within {seconds:g} seconds")
        if status or not data:
            raise _failed(status, data)
        return pickle.loads(data[1:])  # noqa: S301 - it comes from the child that was just forked

    def kill(self) -> bool:
        """Kill the process; return False if the function had returned, raise :class:`ChildError` if it had failed."""
        os.kill(self._process, signal.SIGKILL)
        output, status = self._end(CHILD_SECONDS)
        data = output or b""
        if status not in (0, signal.SIGKILL) or data.startswith(b"-"):
            raise _failed(status, data)
        return not data

    def _end(self, seconds: float) -> tuple[bytes | None, int]:
        """Return the output, None if the process took too long and was killed, and the exit status."""
        data = self._read(seconds)
        _, status = os.waitpid(self._process, 0)
        os.close(self._reader)
        return data, status

    def _read(self, seconds: float) -> bytes | None:
        chunks: list[bytes] = []
        with selectors.DefaultSelector() as selector:
            selector.register(self._reader, selectors.EVENT_READ)
            while selector.select(seconds):
                chunk = os.read(self._reader, 2**16)
                if not chunk:
                    return b"".join(chunks)
                chunks.append(chunk)
        os.kill(self._process, signal.SIGKILL)
        return None


def _failed(status: int, data: bytes) -> ChildError:
    return ChildError(f"a child process ended with status {status}:\n{data[1:].decode(errors='replace')}")


def _fork() -> int:
    with warnings.catch_warnings():
        # Python 3.12 warns of a fork in a process with threads; the suites test that a backend survives it.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _run_and_exit(function: Callable[[], Any], writer: int) -> None:
    status = 1
    try:
        try:
            answer = b"+" + pickle.dumps(function())
            status = 0
        except BaseException:  # noqa: BLE001 - the parent must receive every exception
            answer = b"-" + traceback.format_exc().encode()
        with open(writer, "wb") as pipe:
            pipe.write(answer)
    finally:
        os._exit(status)


def run_in_child(function: Callable[[], Any]) -> Any:
    """Run ``function`` in a forked process, wait, and return its result."""
    return Child(function).result()


def run_in_threads(functions: Sequence[Callable[[], Any]], seconds: float = THREAD_SECONDS) -> list[Any]:
    """Run each function in a separate thread, start all of them together, and return their results in order."""
    barrier = threading.Barrier(len(functions))

    def run(function: Callable[[], Any]) -> Any:
        barrier.wait(seconds)
        return function()

    with ThreadPoolExecutor(len(functions)) as pool:
        return [future.result(seconds) for future in [pool.submit(run, function) for function in functions]]
