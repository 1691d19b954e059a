"""``feedstore export``: writes activities, a feed for readers, or the data of a person to a file."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import ExitStack
from typing import BinaryIO
from urllib.parse import quote

from feedstore.cli.managers import check_no_store, imported_manager
from feedstore.cli.options import add_common_options, at_least_one, open_existing_backend
from feedstore.cli.output import counted, print_json, printable
from feedstore.cli.streams import print_error
from feedstore.errors import FeedstoreError, InvalidValueError
from feedstore.export import (
    EXPORT_FORMATS,
    ROLES,
    ActivitySource,
    CollectionSource,
    ExportSummary,
    Output,
    PersonSource,
    TimelineSource,
    export_activities,
    write_records,
)
from feedstore.interchange import to_atom, to_json_feed
from feedstore.privacy import Scope, export_person
from feedstore.rendering import SentenceRenderer
from feedstore.storage import Backend
from feedstore.storage.checks import DEFAULT_NAME

NAME = "export"
HELP = "write activities, a feed for readers, or the data of a person to a file"
_AUTO, _RECORDS, _JSON_FEED, _ATOM = "auto", "records", "json-feed", "atom"
_STANDARD_OUTPUT = "-"
_FEED_LENGTH = 50


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the file, the selection, the format and the common options."""
    parser.add_argument(
        "file", metavar="FILE", help="the file to write, compressed if its name ends with .gz; - is standard output"
    )
    selection = parser.add_mutually_exclusive_group()
    selection.add_argument("--timeline", metavar="KEY", help="write the activities of a timeline")
    selection.add_argument("--person", metavar="NAME", help="write the data of a person")
    parser.add_argument(
        "--role",
        choices=ROLES,
        action="append",
        help="of --person: only activities in which the person is the actor, the object or the target; repeat it "
        "(default: all three)",
    )
    add_manager_option(parser)
    parser.add_argument(
        "--collection",
        metavar="NAME",
        default=DEFAULT_NAME,
        help="the collection of the activities and timelines (default: %(default)s)",
    )
    parser.add_argument(
        "--format",
        choices=(_AUTO, *EXPORT_FORMATS, _RECORDS, _JSON_FEED, _ATOM),
        default=_AUTO,
        help="ndjson, which feedstore ingest reads without loss; csv; as2, an ActivityStreams document on each line; "
        "as2-collection, one document; records, all data of a person; json-feed or atom, the newest activities of a "
        "timeline (default: csv if the name ends so, else records for a person and ndjson for others)",
    )
    _add_writing(parser)
    add_common_options(parser)


def _add_writing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--base", metavar="IRI", help="of as2: the beginning of the IRIs of names")
    parser.add_argument("--title", metavar="T", help="of json-feed and atom: the title (default: the timeline's key)")
    parser.add_argument(
        "--limit",
        metavar="N",
        type=at_least_one,
        default=_FEED_LENGTH,
        help="of json-feed and atom: how many activities (default: %(default)s)",
    )
    parser.add_argument("--resume", action="store_true", help="continue an export that was killed")
    parser.add_argument("--force", action="store_true", help="replace a file that exists")
    parser.add_argument(
        "--on-error",
        choices=("stop", "skip"),
        default="stop",
        help="at an activity that the format has no form for, stop, or list and skip it (default: %(default)s)",
    )


def add_manager_option(parser: argparse.ArgumentParser) -> None:
    """Declare ``--manager``, which may be repeated."""
    parser.add_argument(
        "--manager",
        metavar="MODULE:NAME",
        action="append",
        default=[],
        help="a feed manager of the application, whose feeds, records and queues belong to the data of a person; it "
        "names the store too",
    )


def scope_of(arguments: argparse.Namespace, opened: ExitStack) -> Scope:
    """Return the scope of ``--manager``, on the backend of the managers, or on that of ``--store`` without them.

    The end of ``opened`` closes the backend.

    Raises:
        InvalidValueError: The arguments name a manager and a store.
    """
    check_no_store(arguments)
    managers = [imported_manager(one) for one in arguments.manager]
    backend = managers[0].backend if managers else open_existing_backend(arguments)
    return Scope(opened.enter_context(backend), managers=managers)


def run(arguments: argparse.Namespace) -> int:
    """Write the file, and print a summary unless the file is standard output."""
    chosen = _format_of(arguments)
    _check(arguments, chosen)
    target = sys.stdout.buffer if arguments.file == _STANDARD_OUTPUT else arguments.file
    with ExitStack() as opened:
        if chosen == _RECORDS:
            records = export_person(arguments.person, scope_of(arguments, opened), arguments.role or ROLES)
            summary = ExportSummary(rows=write_records(records, target, overwrite=arguments.force))
        else:
            backend = opened.enter_context(open_existing_backend(arguments))
            is_feed = chosen in (_JSON_FEED, _ATOM)
            summary = (_write_feed if is_feed else _write_activities)(arguments, backend, chosen, target)
    if arguments.file != _STANDARD_OUTPUT:
        _print_summary(arguments, summary)
    return 0


def _format_of(arguments: argparse.Namespace) -> str:
    chosen: str = arguments.format
    if chosen != _AUTO:
        return chosen
    if arguments.file.lower().endswith((".csv", ".csv.gz")):
        return "csv"
    return "ndjson" if arguments.person is None else _RECORDS


def _check(arguments: argparse.Namespace, chosen: str) -> None:
    if arguments.role and arguments.person is None:
        raise InvalidValueError("--role belongs to --person; leave it out")
    if arguments.manager and chosen != _RECORDS:
        raise InvalidValueError("--manager belongs to --person with the format records; leave it out")
    if chosen == _RECORDS and arguments.person is None:
        raise InvalidValueError("the format records is that of a person; pass --person NAME")
    if chosen in (_JSON_FEED, _ATOM) and arguments.timeline is None:
        raise InvalidValueError(f"the format {chosen} is that of a timeline; pass --timeline KEY")
    if arguments.resume and (chosen not in EXPORT_FORMATS or arguments.file == _STANDARD_OUTPUT):
        raise InvalidValueError("--resume continues a file of activities; write this one again, with --force")


def _source_of(arguments: argparse.Namespace, backend: Backend) -> ActivitySource:
    if arguments.timeline is not None:
        return TimelineSource(backend, arguments.timeline, arguments.collection)
    if arguments.person is not None:
        return PersonSource(backend, arguments.person, arguments.role or ROLES, arguments.collection)
    return CollectionSource(backend, arguments.collection)


def _write_activities(
    arguments: argparse.Namespace, backend: Backend, chosen: str, target: str | BinaryIO
) -> ExportSummary:
    return export_activities(
        _source_of(arguments, backend),
        target,
        format=chosen,
        base=arguments.base,
        resume=arguments.resume,
        overwrite=arguments.force,
        on_error=None if arguments.on_error == "stop" else _report_skipped,
    )


def _write_feed(arguments: argparse.Namespace, backend: Backend, chosen: str, target: str | BinaryIO) -> ExportSummary:
    timelines = backend.timeline_storage(name=arguments.collection)
    stored = backend.activity_storage(name=arguments.collection)
    activities = timelines.get_slice(arguments.timeline, 0, arguments.limit, hydrate_from=stored)
    title, render = arguments.title or arguments.timeline, SentenceRenderer().render
    if chosen == _ATOM:
        iri = f"urn:feedstore:timeline:{quote(arguments.timeline, safe=':')}"
        text = to_atom(activities, title, id=iri, render=render).decode()
    else:
        text = json.dumps(to_json_feed(activities, title, render=render), ensure_ascii=False)
    output = Output(target, {"format": chosen}, overwrite=arguments.force)
    with output.open():
        output.finish(f"{text}\n")
    return ExportSummary(rows=len(activities), bytes=output.state.bytes)


def _report_skipped(error: FeedstoreError) -> None:
    print_error(f"skipped: {printable(str(error))}")


def _print_summary(arguments: argparse.Namespace, summary: ExportSummary) -> None:
    if arguments.json:
        print_json(summary.as_dict())
        return
    after = f", after {summary.resumed_rows:,} of earlier runs" if summary.resumed_rows else ""
    skipped = f", {summary.skipped:,} skipped" if summary.skipped else ""
    noun = counted(summary.rows - summary.resumed_rows, "row")
    print(f"wrote {noun} to {printable(arguments.file)}{after}{skipped}")
