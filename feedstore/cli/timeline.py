"""``feedstore timeline``: shows a page of a timeline."""

from __future__ import annotations

import argparse
import sys

from feedstore.activity import ActivityRef
from feedstore.cli.options import add_common_options, at_least_one, open_existing_backend
from feedstore.cli.output import print_json, print_table, time_text
from feedstore.errors import NotFoundError
from feedstore.ids import id_to_text
from feedstore.serializers.plain import activity_fields
from feedstore.shown import shown
from feedstore.storage import Backend, Page
from feedstore.storage.bounds import NEWEST_FIRST, OLDEST_FIRST

NAME = "timeline"
HELP = "show a page of a timeline"
_DEFAULT_LIMIT = 25


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the key, the options of the page, and the common options."""
    parser.add_argument("key", metavar="KEY", help="the timeline's key, such as user:ann or feed:bob")
    parser.add_argument(
        "--limit", metavar="N", type=at_least_one, default=_DEFAULT_LIMIT, help="entries to show (default: %(default)s)"
    )
    parser.add_argument("--cursor", metavar="CURSOR", help="continue after an earlier page")
    parser.add_argument("--oldest-first", action="store_true", help="begin with the oldest entry")
    parser.add_argument("--ids", action="store_true", help="print the ids only, also of activities that were removed")
    add_common_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the page, whether it is complete, and the cursor of the next page."""
    with open_existing_backend(arguments) as backend:
        page = _read_page(backend, arguments)
    if arguments.json:
        _print_json(arguments, page)
    elif arguments.ids:
        print("".join(f"{id_to_text(reference.serialization_id)}\n" for reference in page.items), end="")
        print(_note(page), file=sys.stderr)
    else:
        _print_activities(page)
        print(f"\n{_note(page)}")
    return 0


def _read_page(backend: Backend, arguments: argparse.Namespace) -> Page:
    timelines = backend.timeline_storage()
    page = timelines.get_page(
        arguments.key,
        arguments.limit,
        cursor=arguments.cursor,
        ordering_args=OLDEST_FIRST if arguments.oldest_first else NEWEST_FIRST,
        hydrate_from=None if arguments.ids else backend.activity_storage(),
    )
    if not page.items and page.floor is None and not timelines.count(arguments.key):
        raise NotFoundError(f"no timeline {shown(arguments.key)} in the namespace {shown(arguments.namespace)}")
    return page


def _print_json(arguments: argparse.Namespace, page: Page) -> None:
    item_to_dict = _id_text if arguments.ids else activity_fields
    print_json({"key": arguments.key, **page.to_dict(item_to_dict)})


def _id_text(reference: ActivityRef) -> str:
    return id_to_text(reference.serialization_id)


def _print_activities(page: Page) -> None:
    rows = [
        (
            time_text(activity.time),
            activity.actor,
            activity.verb,
            activity.object,
            activity.target,
            id_to_text(activity.serialization_id),
        )
        for activity in page.items
    ]
    print_table(("time (UTC)", "actor", "verb", "object", "target", "id"), rows)


def _note(page: Page) -> str:
    if page.next_cursor is not None:
        return f"more: --cursor {page.next_cursor}"
    if page.complete:
        return "the end: nothing was ever trimmed from this timeline"
    return "the end of the kept entries: older ones were trimmed"
