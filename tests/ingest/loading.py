"""Forked processes that ingest, and report each chunk."""

from __future__ import annotations

import os
import selectors
from functools import partial

from feedstore import connect
from feedstore.fanout import FeedManager, HomeFeed
from feedstore.ingest import Loader, Problems, Progress, Source, Summary, read_follows
from feedstore.testing.processes import Child

CHUNK_ROWS = 10
MAX_LENGTH = 40
DEADLINE_SECONDS = 60


class Home(HomeFeed):
    """A short home feed."""

    max_length = MAX_LENGTH


class ChunkSignals(Progress):
    """Writes a byte into a pipe for each chunk."""

    def __init__(self, writer: int) -> None:
        self._writer = writer

    def advance(self, source: Source, summary: Summary) -> None:
        """Write the byte."""
        os.write(self._writer, b".")


class LoaderProcess:
    """A fork that begins or resumes a run, and ingests to the end. It connects for itself."""

    def __init__(self, url: str, namespace: str, inputs: list[str]) -> None:
        self._chunks, writer = os.pipe()
        self._child = Child(partial(_load, url, namespace, inputs, writer))
        os.close(writer)

    def wait_for_chunks(self, chunks: int) -> None:
        """Wait until the process has stored so many chunks, or has ended. Kill it if a chunk takes too long."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._chunks, selectors.EVENT_READ)
            for _ in range(chunks):
                if not selector.select(DEADLINE_SECONDS):
                    self.kill()
                    raise TimeoutError(f"a loader stored no chunk within {DEADLINE_SECONDS} seconds")
                if not os.read(self._chunks, 1):
                    return

    def kill(self) -> bool:
        """Kill the process. Return False if it had ended."""
        os.close(self._chunks)
        return self._child.kill()

    def finish(self) -> None:
        """Wait for the end."""
        os.close(self._chunks)
        self._child.result(DEADLINE_SECONDS)


def _load(url: str, namespace: str, inputs: list[str], writer: int) -> None:
    activities, follows = inputs
    graph = read_follows(Source(follows), Problems())
    with connect(url, namespace=namespace) as backend:
        manager = FeedManager(backend, graph=graph, feed_classes={"normal": Home})
        loader = Loader(manager, chunk_rows=CHUNK_ROWS, progress=ChunkSignals(writer))
        loader.load(Source(activities), resume=True)
