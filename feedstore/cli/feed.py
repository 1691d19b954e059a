"""``feedstore feed``: shows, counts and marks feeds."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from feedstore.aggregated import AggregatedActivity
from feedstore.cli.options import add_common_options, at_least_one, open_existing_backend
from feedstore.cli.output import counted, print_json, print_table, time_text
from feedstore.cli.streams import print_error
from feedstore.errors import InvalidValueError
from feedstore.feeds.keyed_feed import KeyedFeed, KeyedGroupFeed, feed_at
from feedstore.ids import id_to_text
from feedstore.shown import shown
from feedstore.storage import Backend, Page

NAME = "feed"
HELP = "show, count and mark a feed"
_DEFAULT_LIMIT = 25
_MOST_NAMES = 3
_NOT_STORED = (
    "The activities of this page's entries are not in the activity storage: they were removed, or the feed holds "
    "copies of activities, which this command cannot read."
)
_NOTHING_TO_MARK = (
    "The feed has no unseen and no unread activity: all are marked, or it is an aggregated feed without marks."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the actions and their options."""
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    show = _action(actions, "show", "show a page of a feed: its groups, or its activities if the feed is flat", _show)
    show.add_argument(
        "--limit", metavar="N", type=at_least_one, default=_DEFAULT_LIMIT, help="items to show (default: %(default)s)"
    )
    show.add_argument("--cursor", metavar="CURSOR", help="continue after an earlier page")
    _action(actions, "count", "count the entries, the groups, and the unseen and unread ones", _count)
    mark = _action(actions, "mark", "mark activities of a notification feed as seen", _mark)
    mark.add_argument("ids", metavar="ID", nargs="*", help="ids of activities")
    mark.add_argument("--group", metavar="ID", action="append", default=[], help="mark the members of a group")
    mark.add_argument("--until", metavar="ID", help="mark everything up to an activity")
    mark.add_argument("--all", action="store_true", help="mark everything")
    mark.add_argument("--read", action="store_true", help="mark as read, too")


def run(arguments: argparse.Namespace) -> int:
    """Carry out the chosen action."""
    action: Callable[[argparse.Namespace, Backend], None] = arguments.feed_action
    with open_existing_backend(arguments) as backend:
        action(arguments, backend)
    return 0


def _action(
    actions: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    meaning: str,
    function: Callable[[argparse.Namespace, Backend], None],
) -> argparse.ArgumentParser:
    parser = actions.add_parser(name, help=meaning, description=meaning[0].upper() + meaning[1:] + ".")
    parser.add_argument("key", metavar="KEY", help="the key of the feed's timeline, such as home:bob")
    add_common_options(parser)
    parser.set_defaults(feed_action=function)
    return parser


def _show(arguments: argparse.Namespace, backend: Backend) -> None:
    feed = feed_at(arguments.key, backend)
    page: Page[Any] = feed.page(arguments.limit, arguments.cursor)
    if not page.items and feed.count():
        print_error(_NOT_STORED)
    if arguments.json:
        print_json({"key": arguments.key, **page.to_dict(None if isinstance(feed, KeyedFeed) else _group_fields)})
        return
    if isinstance(feed, KeyedFeed):
        headers: tuple[str, ...] = ("time (UTC)", "actor", "verb", "object", "id")
        rows = [(time_text(one.time), one.actor, one.verb, one.object, id_to_text(one.id)) for one in page]
    else:
        headers = ("updated (UTC)", "actors", "verb", "objects", "activities", "marks", "id")
        rows = [_group_row(one) for one in page]
    print_table(headers, rows, right=("activities",))
    if page.next_cursor is not None:
        print(f"\nmore: --cursor {page.next_cursor}")


def _count(arguments: argparse.Namespace, backend: Backend) -> None:
    feed = feed_at(arguments.key, backend)
    numbers = {"entries": feed.count()}
    if isinstance(feed, KeyedGroupFeed):
        numbers |= {"groups": feed.group_count(), **feed.counts()._asdict()}
    if arguments.json:
        print_json({"key": arguments.key, **numbers})
        return
    print_table(("count", "number"), [(name.replace("_", " "), f"{number:,}") for name, number in numbers.items()])


def _mark(arguments: argparse.Namespace, backend: Backend) -> None:
    given = [bool(arguments.ids), bool(arguments.group), arguments.until is not None, arguments.all]
    if sum(given) != 1:
        raise InvalidValueError("pass either ids of activities, --group ID, --until ID or --all")
    feed = feed_at(arguments.key, backend)
    if isinstance(feed, KeyedFeed):
        raise InvalidValueError(f"{shown(arguments.key)} is a flat feed, and has no marks")
    if not (feed.unseen_count() or feed.unread_count()):
        print_error(_NOTHING_TO_MARK)
    if arguments.ids:
        feed.mark_activities(arguments.ids, read=arguments.read)
    elif arguments.group:
        feed.mark_groups(arguments.group, read=arguments.read)
    elif arguments.all:
        feed.mark_all(read=arguments.read)
    else:
        feed.mark_until(arguments.until, read=arguments.read)
    counts = feed.counts()
    if arguments.json:
        print_json({"key": arguments.key, **counts._asdict()})
    else:
        print(f"{counts.unseen:,} unseen and {counted(counts.unread, 'unread activity', 'unread activities')}")


def _group_fields(group: AggregatedActivity) -> dict[str, Any]:
    # The name of the group, and the bound of its count, belong to a class of feeds that is not known here.
    unknown = ("group", "activity_count_is_exact", "actor_count_is_exact")
    return {name: value for name, value in group.to_dict().items() if name not in unknown}


def _group_row(group: AggregatedActivity) -> tuple[Any, ...]:
    marks = ["unseen"] * (group.is_seen is False) + ["unread"] * (group.is_read is False)
    return (
        time_text(group.updated_at),
        _names(group.actor_ids),
        group.verb,
        _names(group.object_ids),
        group.activity_count,
        ", ".join(marks),
        id_to_text(group.id),
    )


def _names(names: list[str | int]) -> str:
    more = ["…"] if len(names) > _MOST_NAMES else []
    return ", ".join([*map(str, names[:_MOST_NAMES]), *more])
