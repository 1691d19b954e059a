"""``feedstore import``: stores the data of other libraries."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import nullcontext
from typing import Any

from feedstore.cli import progress
from feedstore.cli.options import add_common_options, open_backend
from feedstore.cli.output import print_json, printable
from feedstore.compat.stream_framework_feeds import KINDS, read_mapping
from feedstore.compat.stream_framework_import import StreamImport, import_stream_framework
from feedstore.errors import InvalidValueError
from feedstore.ingest.summary import ON_ERROR, SKIP, STOP

NAME = "import"
HELP = "store the data of another library"
STREAM_FRAMEWORK = "stream-framework"
_WIDTH = 12


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the libraries and their options."""
    commands = parser.add_subparsers(metavar="LIBRARY", required=True)
    help_text = "store the activities and feeds of stream_framework 1.4"
    command = commands.add_parser(STREAM_FRAMEWORK, help=help_text, description=help_text.capitalize() + ".")
    command.add_argument(
        "--from", metavar="URL", dest="source", required=True, help="redis://host:port/database or cassandra://host/ks"
    )
    command.add_argument(
        "--feed",
        metavar="RULE",
        action="append",
        default=[],
        help="a format of keys, a kind and perhaps the format of the new keys, as in 'feed:%%(user_id)s=flat' or "
        f"'feed:%%(user_id)s=flat=home:{{user_id}}'; the kinds are {', '.join(KINDS)}; repeat it (default: all feeds)",
    )
    command.add_argument(
        "--mapping", metavar="FILE", help="JSON with the names of verbs, rules of feeds and keys of activity storages"
    )
    command.add_argument(
        "--on-error",
        choices=ON_ERROR,
        default=STOP,
        help="at a refused activity or context stop the run, or count, list and skip it (default: %(default)s)",
    )
    command.add_argument("--resume", action="store_true", help="continue where an interrupted import stopped")
    command.add_argument(
        "--dry-run", action="store_true", help="read everything, list the losses and changes, and write nothing"
    )
    progress.add_progress_option(command)
    add_common_options(command)
    command.set_defaults(run_import=_import_stream_framework)


def run(arguments: argparse.Namespace) -> int:
    """Run the import of the chosen library."""
    result: int = arguments.run_import(arguments)
    return result


def _import_stream_framework(arguments: argparse.Namespace) -> int:
    if arguments.dry_run and arguments.resume:
        raise InvalidValueError("--dry-run reads everything and looks into no store; leave out --resume")
    mapping = {} if arguments.mapping is None else read_mapping(_read_json(arguments.mapping))
    mapping["feeds"] = [*mapping.get("feeds", ()), *arguments.feed]
    lines = progress.StepLines(arguments.progress, sys.stderr)
    with nullcontext() if arguments.dry_run else open_backend(arguments) as backend:
        report = import_stream_framework(
            backend,
            arguments.source,
            **mapping,
            # A dry run lists all that an import would refuse.
            on_error=SKIP if arguments.dry_run else arguments.on_error,
            resume=arguments.resume,
            progress=lambda found: lines.show(_progress_text(found)),
        )
        lines.end(_progress_text(report))
    _print_report(report, arguments)
    return 0


def _read_json(path: str) -> Any:
    with open(path, encoding="utf-8") as file:
        try:
            return json.load(file)
        except ValueError as error:
            raise InvalidValueError(f"{path}: the mapping is no JSON: {error}") from None


def _progress_text(report: StreamImport) -> str:
    feeds = report.feeds + report.aggregated_feeds
    speed = report.activities / report.seconds if report.seconds else 0.0
    return f"{report.activities:,} activities  {feeds:,} feeds  {report.entries:,} entries  {speed:,.0f} activities/s"


def _print_report(report: StreamImport, arguments: argparse.Namespace) -> None:
    found, new = report.as_dict(), report.new_activities
    if arguments.json:
        print_json({"dry_run": arguments.dry_run, **found})
        return
    for name, text in (
        ("activities", f"{report.activities:,}{'' if new is None else f', of which {new:,} new'}"),
        ("feeds", f"{report.feeds:,} flat, {report.aggregated_feeds:,} aggregated or of notifications"),
        ("entries", f"{report.entries:,}, of which {report.unseen:,} unseen and {report.unread:,} unread"),
        ("groups", f"{report.groups:,}"),
        ("other keys", f"{report.other_keys:,}"),
        ("time", f"{report.seconds:,.1f} s{', after an interrupted run' if report.is_resumed else ''}"),
    ):
        print(f"{name:{_WIDTH}}{text}")
    for heading in ("lost", "changed"):
        for description, count in sorted(found[heading].items()):
            print(f"{heading:{_WIDTH}}{count:,} {description}")
    for example in found["examples"]:
        print(f"{'refused':{_WIDTH}}{printable(example)}")
    if arguments.dry_run:
        print("nothing was stored")
