"""``feedstore copy``: copies a namespace into another store, also while it is in use."""

from __future__ import annotations

import argparse
import sys
from contextlib import nullcontext

from feedstore.cli import progress, status
from feedstore.cli.options import add_json_option, open_existing
from feedstore.cli.output import print_json, printable
from feedstore.interchange.copying import PASSES, CopyReport, copy_store
from feedstore.registry import connect
from feedstore.storage.session import DEFAULT_NAMESPACE

NAME = "copy"
HELP = "copy a namespace into another store"
_WIDTH = 12


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the two stores, the passes and the options."""
    parser.add_argument("source", metavar="FROM", help="the URL of the store to copy")
    parser.add_argument("target", metavar="TO", help="the URL of the store to write to")
    for name in ("from", "to"):
        parser.add_argument(
            f"--{name}-namespace",
            metavar="NAME",
            default=DEFAULT_NAMESPACE,
            help=f"the namespace of {name.upper()} (default: %(default)s)",
        )
    parser.add_argument(
        "--pass",
        metavar="PASS",
        dest="passes",
        action="append",
        choices=PASSES,
        help=f"make only this pass; {', '.join(PASSES)}; repeat it (default: all three)",
    )
    parser.add_argument(
        "--collection",
        metavar="NAME",
        action="append",
        default=[],
        help="copy this collection too, whose name the source keeps only as a hash; repeat it",
    )
    parser.add_argument("--resume", action="store_true", help="continue where an interrupted copy stopped")
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="write into a namespace with other data, and delete all that FROM lacks",
    )
    parser.add_argument("--dry-run", action="store_true", help="count the parts of FROM, and write nothing")
    progress.add_progress_option(parser)
    add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Copy, and print the counts. The status is that of a failure if the stores differ at the end."""
    lines = progress.StepLines(arguments.progress, sys.stderr)
    opened = nullcontext() if arguments.dry_run else connect(arguments.target, namespace=arguments.to_namespace)
    with open_existing(arguments.source, arguments.from_namespace) as source, opened as target:
        report = copy_store(
            source,
            target,
            passes=arguments.passes or PASSES,
            collections=arguments.collection,
            resume=arguments.resume,
            overwrite=arguments.overwrite,
            progress=lambda found: lines.show(_progress_text(found)),
        )
        lines.end(_progress_text(report))
    if arguments.json:
        print_json({"dry_run": arguments.dry_run, **report.as_dict()})
    else:
        _print_report(report, arguments.dry_run)
    return status.FAILED if report.differences.total else status.DONE


def _progress_text(report: CopyReport) -> str:
    fixed = report.caught_up.total
    return (
        f"{report.activities:,} activities  {report.timelines:,} timelines  {report.entries:,} entries  "
        f"{report.items:,} items  {fixed:,} differences caught up"
    )


def _print_report(report: CopyReport, is_dry: bool) -> None:
    lines = [
        ("activities", f"{report.activities:,}"),
        ("timelines", f"{report.timelines:,} with {report.entries:,} entries"),
        ("items", f"{report.items:,}"),
        ("caught up", _counts_text(report.caught_up.counts)),
        ("differences", _counts_text(report.differences.counts)),
        ("not copied", _left_out(report)),
        ("time", f"{report.seconds:,.1f} s{', after an interrupted run' if report.is_resumed else ''}"),
    ]
    for name, text in lines:
        if not (is_dry and name in ("caught up", "differences")):
            print(f"{name:{_WIDTH}}{text}")
    for example in report.differences.examples:
        print(f"{'':{_WIDTH}}{printable(example)}")
    if is_dry:
        print("nothing was copied")


def _counts_text(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in sorted(counts.items())) or "none"


def _left_out(report: CopyReport) -> str:
    queues = "queues" if report.queues is None else f"{len(report.queues):,} queues"
    hidden = ", collections whose names are hashes (pass --collection)" if report.hidden_collections else ""
    return f"{queues}, documents and subscriptions{hidden}"
