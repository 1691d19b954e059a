"""``feedstore``: runs the sub-command, and turns its errors into one line and an exit status."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

from feedstore import __version__
from feedstore.cli import status
from feedstore.cli.output import printable
from feedstore.cli.streams import abandon_output, flush_output, prepare_streams, print_error
from feedstore.errors import FeedstoreError

_OPTIONS_OF_COMMANDS = ("--store", "--namespace", "--json")
COMMANDS = (
    "ingest",
    "import",
    "copy",
    "export",
    "timeline",
    "activity",
    "feed",
    "stats",
    "trim",
    "retain",
    "erase-person",
    "events",
    "pubsub",
    "worker",
    "jobs",
    "serve",
    "db",
)
_MODULES = {"import": "imports", "erase-person": "erase_person"}
"""The modules of commands whose names no module can have."""
_DESCRIPTION = "Store activities and timelines, and look at them."
_EPILOG = f"""\
Options may name the store as --store sqlite:///feeds.db, or leave it to the variable FEEDSTORE_URL.
With --json a command prints one JSON document on standard output: ids are strings, times are in ISO 8601.
Errors and progress go to standard error.

exit status:
{status.TABLE}
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, ``sys.argv`` if None, and return the exit status.

    It raises ``SystemExit`` with 0 for ``--help`` and with 2 for wrong usage.
    """
    prepare_streams()
    try:
        return _run(arguments)
    except BrokenPipeError:
        # Only a standard stream: the drivers' errors are FeedstoreErrors by now.
        return status.CLOSED_PIPE
    finally:
        abandon_output()


def _run(arguments: Sequence[str] | None) -> int:
    try:
        try:
            given = sys.argv[1:] if arguments is None else arguments
            parser = new_parser(given)
            _refuse_options_before_command(parser, given)
            parsed = parser.parse_args(given)
            result: int = parsed.run(parsed)
        finally:
            # Not at the end of the process, where Python could only complain.
            flush_output()
    except KeyboardInterrupt:
        return _fail("interrupted", status.INTERRUPTED)
    except BrokenPipeError:
        raise
    except FeedstoreError as error:
        return _fail(str(error), status.of_error(error))
    except OSError as error:
        reason = error.strerror or str(error)
        return _fail(f"{error.filename}: {reason}" if error.filename else reason, status.FAILED)
    return result


class _Parser(argparse.ArgumentParser):
    """A parser whose usage errors keep their exit status if standard error cannot be written to.

    The argparse of Python 3.11.2 raises the stream's OSError instead; later releases drop the message.
    """

    def error(self, message: str) -> NoReturn:
        """Print the usage and the error, and exit with the status of wrong usage."""
        print_error(f"{self.format_usage()}{self.prog}: error: {message}")
        sys.exit(status.WRONG_USAGE)


def new_parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    """Return the parser of a command line: with the sub-command that its first argument names, else with all of them.

    To import the modules of all commands takes 0.3 seconds.
    """
    parser = _Parser(
        prog="feedstore",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"feedstore {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name in arguments[:1] if arguments and arguments[0] in COMMANDS else COMMANDS:
        module = import_module(f"feedstore.cli.{_MODULES.get(name, name)}")
        command = commands.add_parser(
            module.NAME, help=module.HELP, description=module.HELP[0].upper() + module.HELP[1:] + "."
        )
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser


def _refuse_options_before_command(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> None:
    # argparse would take the option's value for the command.
    option = arguments[0].partition("=")[0] if arguments else ""
    if option in _OPTIONS_OF_COMMANDS:
        parser.error(f"{option} follows the command, as in: feedstore stats {option}")


def _fail(message: str, exit_status: int) -> int:
    print_error(f"feedstore: error: {printable(' '.join(message.split()))}")
    return exit_status
