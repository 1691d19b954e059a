"""``feedstore erase-person``: erases the data of a person, and reports it."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from contextlib import ExitStack

from feedstore.cli import status
from feedstore.cli.export import add_manager_option, scope_of
from feedstore.cli.options import add_common_options, is_confirmed
from feedstore.cli.output import print_json, print_table, printable
from feedstore.cli.streams import print_error
from feedstore.export import ROLES
from feedstore.privacy import ErasureReport, Scope, erase_person, export_person
from feedstore.shown import shown

NAME = "erase-person"
HELP = "erase the data of a person, and report it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the person, the roles, the report and the common options."""
    parser.add_argument("person", metavar="NAME", help="the name of the person, as activities and follows have it")
    parser.add_argument(
        "--role",
        choices=ROLES,
        action="append",
        required=True,
        help="erase the activities in which the person is the actor, the object or the target; repeat it for several",
    )
    add_manager_option(parser)
    parser.add_argument("--report", metavar="FILE", help="write the report to a file, as JSON with a digest")
    parser.add_argument("--ids", action="store_true", help="list the ids of the erased activities in the report")
    parser.add_argument("--dry-run", action="store_true", help="count the data, and erase nothing")
    parser.add_argument("--force", action="store_true", help="do not ask; needed if there is no terminal to ask on")
    add_common_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Erase, write the report, and return 1 if the verification found data."""
    with ExitStack() as opened:
        scope = scope_of(arguments, opened)
        if arguments.dry_run:
            _print_found(arguments, scope)
            return status.DONE
        question = (
            f"Erase {printable(shown(arguments.person))} as {', '.join(arguments.role)} from the namespace "
            f"{scope.backend.namespace} of {printable(str(scope.backend))}? It cannot be restored."
        )
        if not arguments.force and not is_confirmed(question, NAME, "--force"):
            print_error("nothing was erased")
            return status.FAILED
        report = erase_person(
            arguments.person,
            scope,
            roles=arguments.role,
            with_ids=arguments.ids,
            on_report=lambda found: _write(arguments, found),
        )
    if arguments.json:
        print_json(report.to_dict())
    else:
        _print_report(report)
    return status.DONE if report.is_verified else status.FAILED


def _print_found(arguments: argparse.Namespace, scope: Scope) -> None:
    counts = Counter(one["record"] for one in export_person(arguments.person, scope, arguments.role))
    if arguments.json:
        print_json({"dry_run": True, "found": dict(counts)})
        return
    print_table(("found", "count"), [(name, f"{count:,}") for name, count in counts.items()], right=("count",))


def _write(arguments: argparse.Namespace, report: ErasureReport) -> None:
    if arguments.report is not None:
        with open(arguments.report, "w", encoding="utf-8") as file:
            json.dump(report.to_dict(), file, ensure_ascii=False, indent=2)
            file.write("\n")


def _print_report(report: ErasureReport) -> None:
    rows = [(name, f"{count:,}") for name, count in report.counts.items()]
    print_table(("erased", "count"), rows, right=("count",))
    print()
    for text in report.not_covered:
        print(f"not covered: {printable(text)}")
    for name, count in report.remaining.items():
        if count:
            print(f"remaining: {count:,} of {name}; run the command again")
    if report.is_verified:
        print("verified: nothing remains")
    print(report.to_dict()["digest"])
