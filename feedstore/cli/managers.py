"""The feed managers that commands import from an application."""

from __future__ import annotations

import argparse
import os
import sys
from importlib import import_module
from typing import Any

from feedstore.errors import InvalidValueError
from feedstore.fanout import FeedManager
from feedstore.shown import shown

_ADVICE = "name it as MODULE:NAME, such as myapp.feeds:manager"


def add_manager_argument(parser: argparse.ArgumentParser, nargs: str | None = None) -> None:
    """Declare the managers of a command."""
    parser.add_argument(
        "managers" if nargs else "manager",
        metavar="MANAGER",
        nargs=nargs,
        help="a feed manager of the application, or a function that returns it, as MODULE:NAME",
    )


def imported_manager(name: str) -> FeedManager:
    """Return the manager of ``MODULE:NAME``; modules of the working directory are found first.

    Raises:
        InvalidValueError: The module cannot be imported, or the name is no manager.
    """
    module_name, _, path = name.partition(":")
    if not module_name or module_name.startswith(".") or not path:
        raise InvalidValueError(f"{shown(name)} names no manager; {_ADVICE}")
    directory = os.getcwd()
    if directory not in sys.path:
        sys.path.insert(0, directory)
    try:
        found: Any = import_module(module_name)
    except ImportError as error:
        raise InvalidValueError(f"the module {shown(module_name)} cannot be imported: {error}") from error
    for part in path.split("."):
        if not hasattr(found, part):
            raise InvalidValueError(f"{shown(module_name)} has no {shown(path)}; {_ADVICE}")
        found = getattr(found, part)
    if not isinstance(found, FeedManager) and callable(found):
        found = found()
    if not isinstance(found, FeedManager):
        raise InvalidValueError(f"{shown(name)} is {shown(found)}, and no FeedManager; {_ADVICE}")
    return found
