"""Servers that the workers of pytest-xdist share: its controller starts each when the first worker asks for it.

A worker may end before another does, and its servers with it, so it starts none of those. It creates a file in a folder
that all of them know, named after the kind of server; a thread of the controller sees the file, starts the server, and
writes into another file where it is. The thread lives as long as the server, which would end with it.
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
    """A server that was started here."""

    def stop(self) -> None:
        """End it."""


class SharedServers:
    """The controller's side: ``kinds`` has for each kind a function that starts a server and returns its address."""

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
        except Exception:  # noqa: BLE001 - the worker that asked raises it
            _write(self.folder / f"{kind}.json", {"error": traceback.format_exc()})
            return
        _write(self.folder / f"{kind}.json", {"address": address})
        self._ended.wait()
        server.stop()


def shared_address(folder: Path, kind: str) -> Any:
    """Return where the session's server of a kind is, for a worker; it is started if no worker asked before."""
    (folder / kind).touch()
    answer = folder / f"{kind}.json"
    poll_until(answer.exists, _SECONDS, f"the start of the session's {kind}")
    found = json.loads(answer.read_text(encoding="utf-8"))
    if "error" in found:
        raise ServerError(found["error"])
    return found["address"]


def _write(path: Path, value: Any) -> None:
    """Write a file that is whole as soon as it is there."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(value), encoding="utf-8")
    partial.rename(path)
