"""``feedstore retain``: applies rules of retention."""

from __future__ import annotations

import argparse

from feedstore.cli import status
from feedstore.cli.options import add_common_options, is_confirmed, masked, open_existing_backend, store_url
from feedstore.cli.output import print_json, print_table, printable
from feedstore.cli.streams import print_error
from feedstore.errors import InputError, InvalidValueError
from feedstore.privacy import RetentionResult, RetentionRule, apply_retention, read_rules

NAME = "retain"
HELP = "apply rules of retention, such as 'keep 90 days of feed:*'"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the rules and the common options."""
    parser.add_argument(
        "rules",
        metavar="RULE",
        nargs="*",
        help="'keep NUMBER entries|hours|days|weeks of SUBJECT [in COLLECTION]'; the subject is a pattern of the keys "
        "of timelines, such as home:*, or activities or events",
    )
    parser.add_argument("--rules", metavar="FILE", dest="file", help="a file with a rule on each line")
    parser.add_argument("--dry-run", action="store_true", help="count the removals, and remove nothing")
    parser.add_argument("--force", action="store_true", help="do not ask; needed if there is no terminal to ask on")
    add_common_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Apply the rules, and print the result of each."""
    rules = _rules_of(arguments)
    listed = "; ".join(printable(str(rule)) for rule in rules)
    question = f"Apply {listed} to the namespace {arguments.namespace} of {printable(masked(store_url(arguments)))}?"
    if not arguments.dry_run and not arguments.force and not is_confirmed(question, NAME, "--force"):
        print_error("nothing was removed")
        return status.FAILED
    with open_existing_backend(arguments) as backend:
        results = apply_retention(backend, rules, dry_run=arguments.dry_run)
    if arguments.json:
        print_json({"dry_run": arguments.dry_run, "rules": [one.as_dict() for one in results]})
    else:
        _print_results(results, "to remove" if arguments.dry_run else "removed")
    return status.DONE


def _rules_of(arguments: argparse.Namespace) -> list[RetentionRule]:
    rules = [RetentionRule.parse(text) for text in arguments.rules]
    if arguments.file is not None:
        try:
            with open(arguments.file, encoding="utf-8") as file:
                rules += read_rules(file)
        except UnicodeDecodeError as error:
            raise InputError(f"the file is not UTF-8: {error}", arguments.file) from error
    if not rules:
        raise InvalidValueError("there is no rule; pass one such as 'keep 90 days of feed:*', or --rules FILE")
    return rules


def _print_results(results: list[RetentionResult], removed: str) -> None:
    rows = []
    for one in results:
        timelines = (f"{one.timelines:,}", f"{one.trimmed:,}") if one.rule.is_of_timelines else ("", "")
        rows.append((str(one.rule), *timelines, f"{one.removed:,}"))
    headers = ("rule", "timelines", "too long", removed)
    print_table(headers, rows, right=headers[1:])
