"""A server that runs as a child process, with its log in a file."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from polling import poll_until

_LOG_TAIL_CHARACTERS = 4000
_SET_TIMER_SLACK, _GET_TIMER_SLACK = 29, 30


class ServerError(Exception):
    """Raised if a server cannot be started. The message has the reason and a remedy."""


class ServerProcess:
    """The process of ``command`` in ``folder``, which runs as ``user`` if one is passed.

    The process has its own session, so that Ctrl-C in the terminal reaches the tests alone, which then stop the
    process. It ends by itself if the tests are killed, or if the thread that started it ends.

    Linux may let each timer of the process run up to ``timer_slack`` seconds late. The default is that of this thread.
    """

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        user: str | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        timer_slack: float | None = None,
    ) -> None:
        self.name = Path(command[0]).name
        self.log = folder / f"{self.name}.log"
        self._stop_signal = stop_signal
        self._owner = os.getpid()
        with self.log.open("ab") as log, _timer_slack(timer_slack):
            self._process = subprocess.Popen(
                [*_ends_with_parent(stop_signal), *command],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **as_user(user),  # type: ignore[call-overload]
            )

    def wait_until_ready(self, ready: Callable[[], bool], seconds: float = 60) -> None:
        """Wait until ``ready()`` is true. After ``seconds``, kill the server and raise an error that shows its log."""
        try:
            poll_until(lambda: self._process.poll() is not None or ready(), seconds, f"the start of {self.name}")
        except TimeoutError as error:
            self.kill()
            raise ServerError(f"{error}; {self.log_tail()}") from error
        except BaseException:
            self.kill()
            raise
        if self._process.poll() is not None:
            status = self._process.returncode
            raise ServerError(f"{self.name} ended with status {status} at its start; {self.log_tail()}")

    def log_tail(self) -> str:
        """Return the end of the log, after a line that names it."""
        text = self.log.read_text(encoding="utf-8", errors="replace")
        return f"the end of its log:\n{text[-_LOG_TAIL_CHARACTERS:]}"

    def stop(self, seconds: float = 30) -> None:
        """Request the end of the process and wait for it; kill it after ``seconds``. A second call does nothing."""
        # A test that forks must not stop its parent's server at its own end.
        if os.getpid() != self._owner or self._process.poll() is not None:
            return
        self._process.send_signal(self._stop_signal)
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()

    def terminate(self) -> None:
        """Request an orderly end of the process, and do not wait for it."""
        self._process.terminate()

    def wait(self, seconds: float) -> None:
        """Wait for the end of the process; raise ``TimeoutExpired`` if it has not ended after ``seconds``."""
        self._process.wait(seconds)

    def pause(self) -> None:
        """Suspend the process until :meth:`resume`, as on a machine that hangs."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let the process run again."""
        self._process.send_signal(signal.SIGCONT)

    def children(self) -> list[int]:
        """Return the ids of the processes that the process has started."""
        pid = self._process.pid
        return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()))

    def kill(self) -> None:
        """Kill the process immediately, as in a crash."""
        self._process.kill()
        self._process.wait()


class OwnServer:
    """A server that the test suite starts: a process with its data in a folder, which :meth:`stop` removes."""

    folder: Path
    _process: ServerProcess

    def kill(self) -> None:
        """Kill the server immediately, as in a crash. Its data stays."""
        self._process.kill()

    def pause(self) -> None:
        """Suspend the server until :meth:`resume`: its port accepts connections, and the server does not answer."""
        self._process.pause()

    def resume(self) -> None:
        """Let the server run again."""
        self._process.resume()

    def stop(self) -> None:
        """End the server and remove its data."""
        self._process.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def _timer_slack(seconds: float | None) -> Iterator[None]:
    """Give the processes that this thread starts inside the context a timer slack."""
    if seconds is None or sys.platform != "linux":
        yield
        return
    prctl = ctypes.CDLL(None).prctl
    before = prctl(_GET_TIMER_SLACK)
    prctl(_SET_TIMER_SLACK, ctypes.c_ulong(round(seconds * 10**9)))
    try:
        yield
    finally:
        prctl(_SET_TIMER_SLACK, ctypes.c_ulong(before))


def as_user(user: str | None) -> dict[str, object]:
    """Return the arguments of ``Popen`` that replace the rights of root by those of ``user``."""
    return {} if user is None else {"user": user, "group": user, "extra_groups": []}


def _ends_with_parent(stop_signal: signal.Signals) -> list[str]:
    setpriv = shutil.which("setpriv")
    return [] if setpriv is None else [setpriv, "--pdeathsig", stop_signal.name, "--"]
