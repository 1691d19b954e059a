"""Servers that the workers of pytest-xdist share: the controller starts each at the first request of a worker.

A worker starts no shared server, because the server would end with the worker. To request a server, a worker creates a
file in a common folder, which has the name of the kind of server. A thread of the controller polls for the file, starts
the server, and writes its address into another file. The thread runs until the end of the server, because a server ends
with the thread that started it.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import threading
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from polling import poll_until
from servers.process import ServerError

_SECONDS = 400


class Stoppable(Protocol):
    """A server that the controller started."""

    def stop(self) -> None:
        """End the server."""


class SharedServers:
    """The shared servers of the controller: ``kinds`` maps a kind to a function that starts a server."""

    def __init__(self, kinds: Mapping[str, Callable[[], tuple[Stoppable, Any]]]) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="feedstore-"))
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._serve, args=each, name=each[0]) for each in kinds.items()]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End all servers."""
        self._ended.set()
        for thread in self._threads:
            thread.join()
        shutil.rmtree(self.folder)

    def _serve(self, kind: str, start: Callable[[], tuple[Stoppable, Any]]) -> None:
        while not (self.folder / kind).exists():
            if self._ended.wait(0.05):
                return
        try:
            server, address = start()
        except Exception:  # noqa: BLE001 - the requesting worker raises it
            _write(self.folder / f"{kind}.json", {"error": traceback.format_exc()})
            return
        _write(self.folder / f"{kind}.json", {"address": address})
        self._ended.wait()
        server.stop()


def shared_address(folder: Path, kind: str) -> Any:
    """Return the address of the session's server of a kind to a worker; the first request starts the server."""
    (folder / kind).touch()
    answer = folder / f"{kind}.json"
    poll_until(answer.exists, _SECONDS, f"the start of the session's {kind}")
    found = json.loads(answer.read_text(encoding="utf-8"))
    if "error" in found:
        raise ServerError(found["error"])
    return found["address"]


def _write(path: Path, value: Any) -> None:
    """Write a file atomically, so that a reader sees the whole file or none."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(value), encoding="utf-8")
    partial.rename(path)
