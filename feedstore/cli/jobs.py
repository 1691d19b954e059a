"""``feedstore jobs``: counts the jobs of a feed manager, and shows, replays and removes its dead letters."""

from __future__ import annotations

import argparse

from feedstore.cli.managers import add_manager_argument, imported_manager
from feedstore.cli.options import add_json_option, zero_or_more
from feedstore.cli.output import counted, print_json, print_table, time_text
from feedstore.cli.streams import print_error
from feedstore.errors import InvalidTypeError, InvalidValueError, NotFoundError
from feedstore.fanout import DeadLetter, QueueExecutor
from feedstore.fanout.manager_core import ManagerCore
from feedstore.shown import shown

NAME = "jobs"
HELP = "count the jobs of a feed manager, and list, replay or drop its dead letters"
_LONGEST_ERROR = 60


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the manager, the action and the letters."""
    add_manager_argument(parser)
    parser.add_argument(
        "action",
        choices=("counts", "list", "show", "replay", "drop"),
        help="counts: the jobs that wait, and the dead letters; list: the dead letters; show: whole letters; "
        "replay: run the jobs of dead letters again; drop: remove them",
    )
    parser.add_argument("keys", metavar="KEY", nargs="*", help="the keys of dead letters")
    parser.add_argument("--all", action="store_true", help="every dead letter, for show, replay and drop")
    parser.add_argument(
        "--limit", metavar="N", type=zero_or_more, default=100, help="the most letters of a list (default: %(default)s)"
    )
    add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the action."""
    manager = imported_manager(arguments.manager)
    if arguments.action == "counts":
        _print_counts(manager, arguments.json)
    elif arguments.action == "list":
        _print_list(manager.dead_letters.list(arguments.limit), arguments.json)
    else:
        return _change(manager, arguments)
    return 0


def _print_counts(manager: ManagerCore, is_json: bool) -> None:
    waiting = manager.executor.counts() if isinstance(manager.executor, QueueExecutor) else {}
    counts = {**{str(priority): count for priority, count in waiting.items()}, "dead": manager.dead_letters.count()}
    if is_json:
        print_json(counts)
    else:
        print_table(("jobs", "count"), [(name, f"{count:,}") for name, count in counts.items()], right=("count",))


def _print_list(letters: list[DeadLetter], is_json: bool) -> None:
    if is_json:
        print_json([one.to_dict() for one in letters])
        return
    rows = [
        (one.key, _operation_of(one), one.attempts, time_text(one.failed_at), one.error[:_LONGEST_ERROR])
        for one in letters
    ]
    print_table(("key", "operation", "attempts", "failed at", "error"), rows, right=("attempts",))


def _operation_of(letter: DeadLetter) -> str | None:
    return letter.job.get("operation") if isinstance(letter.job, dict) else None


def _change(manager: ManagerCore, arguments: argparse.Namespace) -> int:
    """Show, replay or drop letters; return 1 if some of all letters hold no job that can be replayed."""
    if bool(arguments.keys) == arguments.all:
        raise InvalidValueError(f"{arguments.action}: pass the keys of dead letters, or --all")
    keys = [one.key for one in manager.dead_letters] if arguments.all else arguments.keys
    count = refused = 0
    for key in keys:
        letter = manager.dead_letters.get(key)
        if letter is None and arguments.all:
            # Another process has replayed or dropped it since.
            continue
        if letter is None:
            raise NotFoundError(f"there is no dead letter {shown(key)}; see feedstore jobs MANAGER list")
        if arguments.action == "replay":
            try:
                manager.replay(key)
            except (InvalidTypeError, InvalidValueError) as error:
                if not arguments.all:
                    raise
                print_error(f"the dead letter {shown(key)} stays: {error}")
                refused += 1
                continue
        elif arguments.action == "drop":
            manager.dead_letters.remove(key)
        else:
            print_json(letter.to_dict())
        count += 1
    if arguments.action != "show":
        done = "replayed" if arguments.action == "replay" else "dropped"
        print_json({done: count}) if arguments.json else print(f"{done} {counted(count, 'dead letter')}")
    return 1 if refused else 0
