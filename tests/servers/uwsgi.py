"""uWSGI: a prefork server, which loads an application in its master and forks its workers.

From Python 3.13 on, it calls Python's hooks around a fork; before, it forks without them.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType

from live.http import ask
from servers.ports import LOOPBACK, start_on_a_free_port
from servers.process import ServerError, ServerProcess

WORKERS = 3
THREADS = 3
_RUN = "import sys, pyuwsgi; pyuwsgi.run(sys.argv[1:])"


class UwsgiServer:
    """Serves the WSGI application ``application`` of ``source`` from several workers; a context manager.

    The source runs in the master, before the fork. ``environment`` is added to the environment. Each worker has several
    threads, and Python's threads run while a worker waits for requests, which watchers need.
    """

    def __init__(self, source: str, environment: Mapping[str, str]) -> None:
        if find_spec("pyuwsgi") is None:
            raise ServerError("pyuwsgi is not installed: pip install pyuwsgi")
        self.folder = Path(tempfile.mkdtemp(prefix="feedstore-"))
        (self.folder / "application.py").write_text(source)
        variables = {**environment, "PYTHONPATH": os.pathsep.join(sys.path)}
        self._start = ["env", *(f"{name}={value}" for name, value in variables.items()), sys.executable, "-c", _RUN]
        self._options = ["--master", "--processes", str(WORKERS), "--need-app", "--die-on-term", "--disable-logging"]
        self._options += ["--wsgi-file", "application.py", "--worker-reload-mercy", "20"]
        # Older versions survive a fork without their hooks, which leaves more to the product.
        self._options += ["--py-call-uwsgi-fork-hooks"] if sys.version_info >= (3, 13) else []
        self._options += ["--enable-threads", "--threads", str(THREADS)]
        self.last_log = ""
        self.port, self._process = start_on_a_free_port(self._started)

    def _started(self, port: int) -> ServerProcess:
        process = ServerProcess([*self._start, "--http-socket", f"{LOOPBACK}:{port}", *self._options], self.folder)
        process.wait_until_ready(lambda: _answers(port))
        return process

    def __enter__(self) -> UwsgiServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.stop()
        self.last_log = self._process.log_tail()
        shutil.rmtree(self.folder)


def _answers(port: int) -> bool:
    try:
        return ask(port, "/").status == 200
    except (OSError, IndexError):
        return False
