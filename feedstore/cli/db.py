"""``feedstore db``: the schema of a SQL database."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from feedstore.cli.options import add_json_option, add_store_option, store_url
from feedstore.cli.output import print_json, printable
from feedstore.cli.streams import print_error

NAME = "db"
HELP = "upgrade, downgrade and show the schema of a SQL database"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the actions and their options."""
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    _add_upgrade(_action(actions, "upgrade", "create the tables, or migrate them to a newer revision", _upgrade))
    _add_downgrade(_action(actions, "downgrade", "migrate the tables to an older revision", _downgrade))
    _action(actions, "current", "show the revision that the database is at", _current)
    _action(actions, "history", "show every revision that this release knows", _history)


def run(arguments: argparse.Namespace) -> int:
    """Carry out the chosen action, and return the exit status."""
    action: Callable[[argparse.Namespace], None] = arguments.db_action
    action(arguments)
    return 0


def _action(
    actions: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    meaning: str,
    function: Callable[[argparse.Namespace], None],
) -> argparse.ArgumentParser:
    parser = actions.add_parser(name, help=meaning, description=meaning[0].upper() + meaning[1:] + ".")
    add_store_option(parser)
    add_json_option(parser)
    parser.set_defaults(db_action=function)
    return parser


def _add_upgrade(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--backup",
        action="store_true",
        help="copy the data first: a SQLite file to FILE.backup-TIME, the tables of a PostgreSQL database with pg_dump "
        "to DATABASE.backup-TIME in the current folder",
    )
    parser.add_argument("--revision", default="head", help="where to stop: an id or steps as +1 (default: the newest)")


def _add_downgrade(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "revision",
        metavar="REVISION",
        help="where to stop: an id, steps as -1, or base, which drops the tables if they hold no data",
    )
    parser.add_argument("--backup", metavar="PATH", help="copy the data to this new file first, as upgrade does")


def _upgrade(arguments: argparse.Namespace) -> None:
    from feedstore.backends.sql.schema.administration import upgrade_database

    change = upgrade_database(store_url(arguments), arguments.revision, arguments.backup)
    if arguments.backup and not arguments.json:
        print("nothing to back up" if change.backup is None else f"backed up to {change.backup}")
    _report(arguments, "upgraded", change.before, change.after, change.backup)


def _downgrade(arguments: argparse.Namespace) -> None:
    from feedstore.backends.sql.schema.administration import downgrade_database

    def warn(message: str) -> None:
        print_error(f"feedstore: warning: {printable(message)}")

    change = downgrade_database(store_url(arguments), arguments.revision, arguments.backup, warn)
    if change.backup is not None and not arguments.json:
        print(f"backed up to {change.backup}")
    _report(arguments, "downgraded", change.before, change.after, change.backup)


def _report(arguments: argparse.Namespace, deed: str, before: str, after: str, backup: str | None) -> None:
    if arguments.json:
        print_json({"before": before, "after": after, "backup": backup})
        return
    print(f"already at {after}" if before == after else f"{deed} from {before} to {after}")


def _current(arguments: argparse.Namespace) -> None:
    from feedstore.backends.sql.schema.administration import HEAD, current_schema

    schema = current_schema(store_url(arguments))
    if arguments.json:
        print_json({"revision": schema.revision, "state": schema.state.value, "newest": HEAD})
    else:
        print(f"{schema.revision or 'no revision'} ({schema.state.value}; this release needs {HEAD})")


def _history(arguments: argparse.Namespace) -> None:
    from feedstore.backends.sql.schema.administration import current_schema, revision_titles

    current = current_schema(store_url(arguments)).revision
    revisions = [
        {"revision": revision, "title": title, "current": revision == current}
        for revision, title in revision_titles().items()
    ]
    if arguments.json:
        print_json({"revisions": revisions})
        return
    for entry in revisions:
        print(f"{'*' if entry['current'] else ' '} {entry['revision']}  {entry['title']}")
