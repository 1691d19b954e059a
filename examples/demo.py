"""Ingests fifteen years of real code reviews into a SQLite file, and shows whose timelines came of it.

``make demo`` runs it. Each run starts afresh, in ``build/demo/``. A machine that takes longer than 25 seconds stops
there, shows what is stored by then, and names the command that ingests the rest. The data is described in
``examples/data/dev-review-feed/README.md``.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from pathlib import Path

from feedstore import Activity, connect
from feedstore.cli.output import print_table, time_text
from feedstore.cli.progress import new_progress
from feedstore.ingest import Loader, Problems, Progress, Source, Summary, read_follows
from feedstore.storage import Backend, Page

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "examples" / "data" / "dev-review-feed"
NEWEST = 5


class OutOfTimeError(Exception):
    """The demo has lasted long enough."""


class LimitedProgress(Progress):
    """Shows what another one shows, and ends the ingestion behind the first chunk that is stored too late."""

    def __init__(self, shown: Progress, seconds: float) -> None:
        self._shown = shown
        self._seconds = seconds

    def start(self, source: Source, summary: Summary) -> None:
        """Show it."""
        self._shown.start(source, summary)

    def finish(self, source: Source, summary: Summary) -> None:
        """Show it."""
        self._shown.finish(source, summary)

    def advance(self, source: Source, summary: Summary) -> None:
        """Show it, then look at the clock."""
        self._shown.advance(source, summary)
        if summary.seconds > self._seconds:
            raise OutOfTimeError


def main() -> None:
    """Ingest, show three timelines and the figures, and say what to type next."""
    arguments = parse_arguments()
    database = fresh_database(arguments.folder)
    with connect(f"sqlite:///{database.resolve()}") as backend:
        summary, is_whole = ingest(backend, arguments)
        lengths = lengths_of_feeds(backend)
        readers = [lengths[0][1], lengths[len(lengths) // 2][1], lengths[-1][1]]
        for key in readers:
            show_timeline(backend, key)
        entries = count_entries(backend)
    show_figures(summary, len(lengths), entries, database.stat().st_size)
    show_next(arguments, database, readers[0], is_whole)


def parse_arguments() -> argparse.Namespace:
    """Return what the command line says; by default the whole of the data, into ``build/demo``."""
    parser = argparse.ArgumentParser(description="Ingest real code reviews into a SQLite file and show timelines.")
    parser.add_argument("--activities", type=Path, default=DATA / "activities.csv.gz")
    parser.add_argument("--follows", type=Path, default=DATA / "follows.csv.gz")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "demo", help="where the database goes")
    parser.add_argument("--seconds", type=float, default=25, help="how long to ingest at most (default: %(default)s)")
    return parser.parse_args()


def fresh_database(folder: Path) -> Path:
    """Return where the database goes, with what an earlier run left there removed."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("feeds.db", "feeds.db-wal", "feeds.db-shm"):
        folder.joinpath(name).unlink(missing_ok=True)
    return folder / "feeds.db"


def ingest(backend: Backend, arguments: argparse.Namespace) -> tuple[Summary, bool]:
    """Store the activities, and deliver them to the timelines of whoever follows their actors; tell whether all are."""
    graph = read_follows(Source(arguments.follows), Problems())
    print(f"Who follows whom: {graph.edges:,} edges from {graph.readers:,} readers to {graph.followees:,} developers.")
    progress = LimitedProgress(new_progress("auto", sys.stderr), arguments.seconds)
    loader = Loader(backend, graph, progress=progress)
    try:
        loader.load(Source(arguments.activities))
    except OutOfTimeError:
        print(f"Stopped after {loader.summary.seconds:.0f} seconds; the rest can be ingested below.")
        return loader.summary, False
    return loader.summary, True


def lengths_of_feeds(backend: Backend) -> list[tuple[int, str]]:
    """Return the length and the key of every timeline that a reader sees, the longest first."""
    timelines = backend.timeline_storage()
    lengths = [(timelines.count(key), key) for key in sorted(timelines.keys()) if key.startswith("feed:")]
    return sorted(lengths, key=lambda length: -length[0])


def count_entries(backend: Backend) -> int:
    """Return how many entries all timelines hold, the actors' own included."""
    timelines = backend.timeline_storage()
    return sum(map(timelines.count, timelines.keys()))


def show_timeline(backend: Backend, key: str) -> None:
    """Print the newest entries of a timeline, and whether it holds all that there ever was."""
    timelines = backend.timeline_storage()
    page: Page = timelines.get_page(key, NEWEST, hydrate_from=backend.activity_storage())
    forgotten = "nothing older" if page.floor is None else "older ones were trimmed"
    print(f"\n{key}: the newest {len(page.items)} of {timelines.count(key):,} entries, {forgotten}")
    print_table(("time (UTC)", "actor", "verb", "object", "target"), [row_of(activity) for activity in page.items])


def row_of(activity: Activity) -> tuple[object, ...]:
    """Return an activity as a row of a table."""
    return time_text(activity.time), activity.actor, activity.verb, activity.object, activity.target


def show_figures(summary: Summary, feeds: int, entries: int, size: int) -> None:
    """Print how much was done, how fast, and how much room it takes."""
    print(
        f"\n{summary.activities:,} activities were stored and {summary.deliveries:,} deliveries made to {feeds:,} "
        f"readers' timelines\nin {summary.seconds:.1f} seconds: {summary.rows_per_second:,.0f} activities and "
        f"{summary.deliveries_per_second:,.0f} deliveries a second."
    )
    print(
        f"The file has {size / 1e6:.1f} MB for the {entries:,} entries that timelines keep: {size / entries:.0f} bytes "
        "for each, the activities included."
    )


def show_next(arguments: argparse.Namespace, database: Path, key: str, is_whole: bool) -> None:
    """Print commands that go on from here, as they can be typed in the current folder."""
    installed = Path(sys.executable).with_name("feedstore")
    feedstore = [shown_path(installed)] if installed.exists() else [shown_path(Path(sys.executable)), "-m", "feedstore"]
    store = ["--store", f"sqlite:///{shown_path(database)}"]
    commands = [
        ["timeline", key, *store],
        ["timeline", key, "--limit", "3", "--json", *store],
        ["stats", *store],
        ["--help"],
    ]
    if not is_whole:
        inputs = [shown_path(arguments.activities), "--follows", shown_path(arguments.follows)]
        commands.insert(0, ["ingest", *inputs, "--resume", *store])
    print("\nWhat to type next:\n")
    for command in commands:
        print(f"  {shlex.join([*feedstore, *command])}")


def shown_path(path: Path) -> str:
    """Return a path as it is typed in the current folder: relative if it lies below, else absolute."""
    absolute = os.path.abspath(path)
    relative = os.path.relpath(absolute)
    return absolute if relative.startswith(os.pardir) else relative


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("interrupted; the next run starts afresh")
