"""Forked processes that ingest, and print their progress."""

from __future__ import annotations

import os
import selectors
import signal
import traceback
import warnings
from typing import TextIO

from feedstore import connect
from feedstore.fanout import FeedManager, HomeFeed
from feedstore.ingest import Loader, Problems, Progress, Source, Summary, read_follows

CHUNK_ROWS = 10
MAX_LENGTH = 40
DEADLINE_SECONDS = 60


class Home(HomeFeed):
    """A short home feed."""

    max_length = MAX_LENGTH


class Telling(Progress):
    """Prints a line for each chunk."""

    def __init__(self, output: TextIO) -> None:
        self._output = output

    def advance(self, source: Source, summary: Summary) -> None:
        """Print the number of rows that this run has stored."""
        self._output.write(f"{summary.rows}\n")
        self._output.flush()


class LoaderProcess:
    """A fork that begins or resumes a run, and ingests to the end. It connects for itself."""

    def __init__(self, url: str, namespace: str, inputs: list[str]) -> None:
        self._reader, writer = os.pipe()
        self._process = _fork()
        if self._process == 0:
            _run_and_exit(url, namespace, inputs, writer)
        os.close(writer)

    def wait_for_chunks(self, chunks: int) -> None:
        """Wait until the process has stored so many chunks, or has ended."""
        while chunks > 0 and (read := os.read(self._reader, 1)):
            chunks -= read == b"\n"

    def kill(self) -> bool:
        """Kill the process. Return False if it had ended."""
        os.kill(self._process, signal.SIGKILL)
        status, output = self._end()
        assert status in (0, -signal.SIGKILL), output
        return status != 0

    def finish(self) -> None:
        """Wait for the end."""
        status, output = self._end()
        assert status == 0, output

    def _end(self) -> tuple[int, str]:
        output = b""
        with selectors.DefaultSelector() as selector:
            selector.register(self._reader, selectors.EVENT_READ)
            while selector.select(DEADLINE_SECONDS):
                read = os.read(self._reader, 2**16)
                if not read:
                    break
                output += read
            else:
                os.kill(self._process, signal.SIGKILL)
        os.close(self._reader)
        return os.waitstatus_to_exitcode(os.waitpid(self._process, 0)[1]), output.decode()


def _fork() -> int:
    with warnings.catch_warnings():
        # Python 3.12 warns of a fork in a process with threads.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _run_and_exit(url: str, namespace: str, inputs: list[str], writer: int) -> None:
    status = 1
    try:
        with open(writer, "w", encoding="utf-8") as output:
            try:
                _load(url, namespace, inputs, output)
                status = 0
            except BaseException:  # noqa: BLE001 - the parent shows every exception
                traceback.print_exc(file=output)
    finally:
        os._exit(status)


def _load(url: str, namespace: str, inputs: list[str], output: TextIO) -> None:
    activities, follows = inputs
    graph = read_follows(Source(follows), Problems())
    with connect(url, namespace=namespace) as backend:
        manager = FeedManager(backend, graph=graph, feed_classes={"normal": Home})
        loader = Loader(manager, chunk_rows=CHUNK_ROWS, progress=Telling(output))
        loader.load(Source(activities), resume=True)
