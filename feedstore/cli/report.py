"""The report at the end of an ingestion."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from feedstore.cli.output import counted, print_json, printable
from feedstore.errors import InputError
from feedstore.ingest import FollowCounts, InputFollowers, Loader

ReadFollows = FollowCounts | InputFollowers
"""The follows of an input: imported into a stored graph, or in memory."""
_NAME_WIDTH = 12
_COUNTED_BY_DRY_RUN = ("rows", "planned_deliveries", "skipped", "seconds", "rows_per_second")


def report(
    arguments: argparse.Namespace, loader: Loader, follows: ReadFollows | None, error: BaseException | None = None
) -> None:
    """Print the report of a run: lines for people, one JSON document for programs. ``error`` ended the run early."""
    if arguments.json:
        print_json(_document(arguments, loader, follows, error))
        return
    _list_skipped(loader)
    if error is not None and not loader.summary.rows:
        nothing = "nothing" if arguments.follows is None else "no activity"
        print(f"{nothing} was {'read' if arguments.dry_run else 'stored'}")
        return
    if error is not None:
        print("done before the error:")
    for name, text in _lines(arguments, loader, follows):
        print(f"{name:{_NAME_WIDTH}}{text}")
    if error is not None and not arguments.dry_run:
        print(_advice(error))


def _document(
    arguments: argparse.Namespace, loader: Loader, follows: ReadFollows | None, error: BaseException | None
) -> dict[str, Any]:
    problems = loader.problems
    counts = loader.summary.as_dict()
    if arguments.dry_run:
        counts = {name: counts[name] for name in _COUNTED_BY_DRY_RUN}
    return {
        "dry_run": arguments.dry_run,
        **counts,
        "idle_followees": 0 if follows is None else _idle_followees(loader, follows),
        "problems": [{"path": one.path, "line": one.line, "reason": one.reason} for one in problems.first],
        "problems_not_listed": problems.count - len(problems.first),
        "error": None if error is None else str(error) or "interrupted",
    }


def _idle_followees(loader: Loader, follows: ReadFollows) -> int:
    """Return the number of followed users without a row in this run, whose names may be misspelt."""
    return len(follows.followees - loader.followed_actors)


def _list_skipped(loader: Loader) -> None:
    problems = loader.problems
    for error in problems.first:
        print(f"skipped {printable(str(error))}", file=sys.stderr)
    if problems.count > len(problems.first):
        print(f"skipped {problems.count - len(problems.first):,} more", file=sys.stderr)


def _lines(arguments: argparse.Namespace, loader: Loader, follows: ReadFollows | None) -> list[tuple[str, str]]:
    summary = loader.summary
    lines = [("rows", f"{summary.rows:,}")]
    if summary.resumed_rows:
        lines[0] = ("rows", f"{summary.rows:,}, after {summary.resumed_rows:,} that earlier runs stored")
    if arguments.dry_run:
        lines.append(("deliveries", f"{summary.planned_deliveries:,} to be made"))
    else:
        lines += _stored_lines(loader)
    if follows is not None and follows.edges:
        lines.append(("follows", _follows_text(loader, follows)))
    lines.append(("skipped", f"{summary.skipped:,}"))
    lines.append(("time", _speed_text(loader)))
    if arguments.dry_run:
        lines.append(("written", "nothing: this was a dry run"))
    return lines


def _stored_lines(loader: Loader) -> list[tuple[str, str]]:
    summary = loader.summary
    activities = f"{summary.activities:,} new, {summary.repeated_activities:,} stored before"
    deliveries = f"{summary.deliveries:,} new, {summary.repeated_deliveries:,} made before"
    return [("activities", activities), ("deliveries", deliveries)]


def _follows_text(loader: Loader, follows: ReadFollows) -> str:
    edges, readers = counted(follows.edges, "edge"), counted(follows.readers, "reader")
    new = f", {follows.new:,} of them new," if isinstance(follows, FollowCounts) else ""
    text = f"{edges}{new} from {readers} to {counted(len(follows.followees), 'user')}"
    if loader.summary.resumed_rows:
        return text
    return f"{text}, {_idle_followees(loader, follows):,} of them without an activity in these rows"


def _speed_text(loader: Loader) -> str:
    summary = loader.summary
    text = f"{summary.seconds:,.1f} s: {summary.rows_per_second:,.0f} rows/s"
    return f"{text}, {summary.deliveries_per_second:,.0f} deliveries/s" if summary.deliveries else text


def _advice(error: BaseException) -> str:
    if isinstance(error, InputError):
        return (
            "repair the input and run the same command with --resume; --on-error skip passes over rows that are wrong"
        )
    return "run the same command with --resume to go on"
