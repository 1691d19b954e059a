"""Demo: ingest fifteen years of real code reviews into a SQLite file, print timelines, and name an application.

``make demo`` runs it. Each run starts with an empty folder ``build/demo/``. After 25 seconds the ingestion stops. The
demo then prints the stored part, and the command that ingests the rest. ``examples/data/dev-review-feed/README.md``
describes the data.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from pathlib import Path
from urllib.parse import unquote

from feedstore import Activity, connect
from feedstore.cli.output import print_table, time_text
from feedstore.cli.progress import new_progress
from feedstore.fanout import FeedManager, FollowGraph, HomeFeed
from feedstore.ingest import Loader, Problems, Progress, Source, Summary, import_follows
from feedstore.storage import Backend, Page

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "examples" / "data" / "dev-review-feed"
NEWEST = 5
HOME = HomeFeed.key_format.partition("{")[0]


class OutOfTimeError(Exception):
    """Raised when the time limit of the demo is exceeded."""


class LimitedProgress(Progress):
    """Progress that delegates to another one, and stops the ingestion after the first chunk past a time limit."""

    def __init__(self, shown: Progress, seconds: float) -> None:
        self._shown = shown
        self._seconds = seconds

    def start(self, source: Source, summary: Summary) -> None:
        """Show the start."""
        self._shown.start(source, summary)

    def finish(self, source: Source, summary: Summary) -> None:
        """Show the end."""
        self._shown.finish(source, summary)

    def advance(self, source: Source, summary: Summary) -> None:
        """Show the progress, and raise OutOfTimeError if the time limit is exceeded."""
        self._shown.advance(source, summary)
        if summary.seconds > self._seconds:
            raise OutOfTimeError


def main() -> None:
    """Ingest, show three timelines and the figures, and print the next commands."""
    arguments = parse_arguments()
    database = fresh_database(arguments.folder)
    with connect(f"sqlite:///{database.resolve()}") as backend:
        summary, is_whole = ingest(backend, arguments)
        lengths = lengths_of_feeds(backend)
        readers = [lengths[0][1], lengths[len(lengths) // 2][1], lengths[-1][1]]
        for key in readers:
            show_timeline(backend, key)
        entries = count_entries(backend)
        size = database.stat().st_size
    show_figures(summary, len(lengths), entries, size)
    show_next(arguments, database, readers[0], is_whole)
    show_application(database, readers[0])


def parse_arguments() -> argparse.Namespace:
    """Return the arguments of the command line. The defaults ingest all data into ``build/demo``."""
    parser = argparse.ArgumentParser(description="Ingest real code reviews into a SQLite file and show timelines.")
    parser.add_argument("--activities", type=Path, default=DATA / "activities.csv.gz")
    parser.add_argument("--follows", type=Path, default=DATA / "follows.csv.gz")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "demo", help="the folder of the database")
    parser.add_argument("--seconds", type=float, default=25, help="time limit of the ingestion (default: %(default)s)")
    return parser.parse_args()


def fresh_database(folder: Path) -> Path:
    """Remove the database of an earlier run, and return the path of the new one."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("feeds.db", "feeds.db-wal", "feeds.db-shm"):
        folder.joinpath(name).unlink(missing_ok=True)
    return folder / "feeds.db"


def ingest(backend: Backend, arguments: argparse.Namespace) -> tuple[Summary, bool]:
    """Store the activities and deliver them to the followers. Return the summary, and whether all rows were read."""
    graph = FollowGraph(backend)
    follows = import_follows(graph, Source(arguments.follows), Problems())
    users = f"{follows.readers:,} readers to {len(follows.followees):,} developers"
    print(f"Follow graph: {follows.new:,} edges from {users}.")
    progress = LimitedProgress(new_progress("auto", sys.stderr), arguments.seconds)
    loader = Loader(FeedManager(backend, graph=graph), progress=progress)
    try:
        loader.load(Source(arguments.activities))
    except OutOfTimeError:
        print(f"Stopped after {loader.summary.seconds:.0f} seconds; the rest can be ingested below.")
        return loader.summary, False
    return loader.summary, True


def lengths_of_feeds(backend: Backend) -> list[tuple[int, str]]:
    """Return the length and the key of every home feed, the longest first."""
    timelines = backend.timeline_storage()
    lengths = [(timelines.count(key), key) for key in sorted(timelines.keys()) if key.startswith(HOME)]
    return sorted(lengths, key=lambda length: -length[0])


def count_entries(backend: Backend) -> int:
    """Return the number of entries in all timelines, including those of actors."""
    timelines = backend.timeline_storage()
    return sum(map(timelines.count, timelines.keys()))


def show_timeline(backend: Backend, key: str) -> None:
    """Print the newest entries of a timeline, and whether it was ever trimmed."""
    timelines = backend.timeline_storage()
    page: Page = timelines.get_page(key, NEWEST, hydrate_from=backend.activity_storage())
    forgotten = "nothing older" if page.floor is None else "older ones were trimmed"
    print(f"\n{key}: the newest {len(page.items)} of {timelines.count(key):,} entries, {forgotten}")
    print_table(("time (UTC)", "actor", "verb", "object", "target"), [row_of(activity) for activity in page.items])


def row_of(activity: Activity) -> tuple[object, ...]:
    """Return an activity as a row of a table."""
    return time_text(activity.time), activity.actor, activity.verb, activity.object, activity.target


def show_figures(summary: Summary, feeds: int, entries: int, size: int) -> None:
    """Print the counts, the rates and the size of the file."""
    print(
        f"\n{summary.activities:,} activities were stored and {summary.deliveries:,} deliveries made to {feeds:,} "
        f"readers' timelines\nin {summary.seconds:.1f} seconds: {summary.rows_per_second:,.0f} activities and "
        f"{summary.deliveries_per_second:,.0f} deliveries a second."
    )
    print(
        f"The file has {size / 1e6:.1f} MB for the {entries:,} entries that timelines keep: {size / entries:.0f} bytes "
        "for each, activities and follows included."
    )


def show_next(arguments: argparse.Namespace, database: Path, key: str, is_whole: bool) -> None:
    """Print commands for the new database, relative to the current folder."""
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
    print("\nNext commands:\n")
    for command in commands:
        print(f"  {shlex.join([*feedstore, *command])}")


def show_application(database: Path, key: str) -> None:
    """Print the command that serves the social application with the new database."""
    options = ["--store", f"sqlite:///{shown_path(database)}", "--namespace", "default"]
    python = [shown_path(Path(sys.executable)), "-m", "feedapp", *options]
    name = unquote(key.removeprefix(HOME))
    print(f"\nA social application with this data; sign in as {name}:\n")
    print(f"  PYTHONPATH={shlex.quote(shown_path(ROOT / 'examples'))} {shlex.join(python)}")


def shown_path(path: Path) -> str:
    """Return a path relative to the current folder if it is below that folder, else the absolute path."""
    absolute = os.path.abspath(path)
    relative = os.path.relpath(absolute)
    return absolute if relative.startswith(os.pardir) else relative


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("interrupted; the next run starts with an empty database")
