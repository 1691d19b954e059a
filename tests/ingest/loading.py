"""A program that ingests and prints its progress: ``loading.py URL NAMESPACE ACTIVITIES FOLLOWS``."""

from __future__ import annotations

import gc
import sys

from feedstore import connect
from feedstore.fanout import FeedManager, HomeFeed
from feedstore.ingest import Loader, Problems, Progress, Source, Summary, read_follows

CHUNK_ROWS = 10
MAX_LENGTH = 40


class Home(HomeFeed):
    """A short home feed."""

    max_length = MAX_LENGTH


class Telling(Progress):
    """Prints a line for each chunk."""

    def advance(self, source: Source, summary: Summary) -> None:
        """Print the number of rows that this run has stored."""
        sys.stdout.write(f"{summary.rows}\n")
        sys.stdout.flush()


def main(url: str, namespace: str, activities: str, follows: str) -> None:
    """Begin or resume a run, and ingest to the end."""
    graph = read_follows(Source(follows), Problems())
    with connect(url, namespace=namespace) as backend:
        manager = FeedManager(backend, graph=graph, feed_classes={"normal": Home})
        loader = Loader(manager, chunk_rows=CHUNK_ROWS, progress=Telling())
        loader.load(Source(activities), resume=True)
    # The last collections of the interpreter take a fifth of the process's time.
    gc.freeze()


if __name__ == "__main__":
    main(*sys.argv[1:])
