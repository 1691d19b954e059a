"""The options of ``feedstore pubsub``."""

from __future__ import annotations

import argparse

from feedstore.cli.options import add_common_options, add_json_option, at_least_one, zero_or_more


def declare_filter(parser: argparse.ArgumentParser) -> None:
    """Declare the choice of items by account, service, node, type and subtype."""
    for name, noun in (("account", "accounts"), ("service", "services"), ("node", "nodes")):
        parser.add_argument(
            f"--{name}", metavar=name[0].upper(), action="append", help=f"only items of these {noun}; repeat it"
        )
    for name in ("type", "subtype"):
        parser.add_argument(
            f"--{name}",
            metavar="T",
            action="append",
            help=f"only items of nodes with this {name}, or with - of those without; repeat it",
        )


def declare_times(parser: argparse.ArgumentParser) -> None:
    """Declare the choice of items by their times."""
    parser.add_argument(
        "--created-before", metavar="TIME", help="only items created before a time, such as '30d ago' or ISO 8601"
    )
    parser.add_argument("--updated-before", metavar="TIME", help="only items last changed before a time")


def declare_nodes(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``nodes``."""
    declare_filter(parser)
    parser.add_argument(
        "--limit", metavar="N", type=at_least_one, default=1000, help="print at most this number (default: %(default)s)"
    )
    add_common_options(parser)


def declare_cache(parser: argparse.ArgumentParser) -> None:
    """Declare the cache of the application."""
    parser.add_argument(
        "cache", metavar="CACHE", help="a PubsubCache of the application, or a function that returns it, as MODULE:NAME"
    )


def declare_sync(parser: argparse.ArgumentParser) -> None:
    """Declare the node to synchronise."""
    declare_cache(parser)
    parser.add_argument("node", metavar="NODE", help="the name of the node")
    parser.add_argument("--service", metavar="S", help="the address of its service (default: that of the account)")
    parser.add_argument("--resync", action="store_true", help="delete the cached node with its items first")
    add_json_option(parser)


def declare_get(parser: argparse.ArgumentParser) -> None:
    """Declare the node and the choice of its items."""
    parser.add_argument("account", metavar="ACCOUNT", help="the account")
    parser.add_argument("service", metavar="SERVICE", help="the address of the service")
    parser.add_argument("node", metavar="NODE", help="the name of the node")
    parser.add_argument("--id", metavar="ID", action="append", help="only the items with these ids; repeat it")
    parser.add_argument(
        "--max", metavar="N", type=zero_or_more, default=20, help="print at most this number (default: %(default)s)"
    )
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--after", metavar="ID", help="the items after this one")
    place.add_argument("--before", metavar="ID", help="the items before this one")
    place.add_argument("--index", metavar="N", type=zero_or_more, help="the items from this position on")
    parser.add_argument(
        "--order-by",
        choices=("creation", "modification", "item_id"),
        help="the order of the items (default: modification for the newest, creation for others)",
    )
    declare_output(parser)
    add_common_options(parser)


def declare_output(parser: argparse.ArgumentParser) -> None:
    """Declare the form of the output."""
    parser.add_argument("--payload", action="store_true", help="print the raw payload of each item")
    parser.add_argument(
        "-k", "--key", metavar="K", action="append", help="print only this key of the parsed items; repeat it"
    )


def declare_search(parser: argparse.ArgumentParser) -> None:
    """Declare the query."""
    parser.add_argument("text", metavar="TEXT", nargs="?", help="words to find in the items, as in: rare OR wor*")
    declare_filter(parser)
    declare_times(parser)
    parser.add_argument("--id", metavar="ID", action="append", help="only items with these ids; repeat it")
    parser.add_argument(
        "--where",
        metavar=("PATH", "OP", "VALUE"),
        nargs=3,
        action="append",
        default=[],
        help="a condition on the parsed items, such as: tags.0 == news. VALUE is JSON, or TP(TIME) for the seconds of "
        "a time, else a str; repeat it",
    )
    parser.add_argument(
        "--order-by",
        metavar="ORDER",
        action="append",
        default=[],
        help="creation, modification, item_id, rank, or a path as in path:published; with :desc the other way; "
        "repeat it",
    )
    parser.add_argument("--index", metavar="N", type=zero_or_more, default=0, help="the number of results to skip")
    parser.add_argument(
        "--limit", metavar="N", type=at_least_one, default=100, help="print at most this number (default: %(default)s)"
    )
    parser.add_argument("--cursor", metavar="C", help="the next_cursor of the page before")
    declare_output(parser)
    add_common_options(parser)


def declare_purge(parser: argparse.ArgumentParser) -> None:
    """Declare the items to remove."""
    declare_filter(parser)
    declare_times(parser)
    declare_force(parser)
    add_common_options(parser)


def declare_reparse(parser: argparse.ArgumentParser) -> None:
    """Declare the items to parse."""
    declare_cache(parser)
    declare_filter(parser)
    declare_times(parser)
    add_json_option(parser)


def declare_reset(parser: argparse.ArgumentParser) -> None:
    """Declare the accounts to remove."""
    parser.add_argument("--account", metavar="A", action="append", help="only nodes of these accounts; repeat it")
    declare_force(parser)
    add_common_options(parser)


def declare_force(parser: argparse.ArgumentParser) -> None:
    """Declare ``--force``."""
    parser.add_argument(
        "--force", action="store_true", help="do not ask before; needed where there is no terminal to ask on"
    )
