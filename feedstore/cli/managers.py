"""The objects that commands import from an application, such as feed managers."""

from __future__ import annotations

import argparse
import os
import sys
from importlib import import_module
from typing import Any, TypeVar

from feedstore.errors import InvalidValueError
from feedstore.fanout import FeedManager
from feedstore.shown import shown
from feedstore.storage.session import DEFAULT_NAMESPACE

_Kind = TypeVar("_Kind")


def add_manager_argument(parser: argparse.ArgumentParser, nargs: str | None = None) -> None:
    """Declare the managers of a command."""
    parser.add_argument(
        "managers" if nargs else "manager",
        metavar="MANAGER",
        nargs=nargs,
        help="a feed manager of the application, or a function that returns it, as MODULE:NAME",
    )


def check_no_store(arguments: argparse.Namespace) -> None:
    """Raise :class:`InvalidValueError` if ``--manager``, which has a store, comes with another one."""
    if arguments.manager and (arguments.store is not None or arguments.namespace != DEFAULT_NAMESPACE):
        raise InvalidValueError("--manager has a store of its own; leave out --store and --namespace")


def imported_manager(name: str) -> FeedManager:
    """Return the manager of ``MODULE:NAME``; modules of the working directory are found first.

    Raises:
        InvalidValueError: The module cannot be imported, or the name is no manager.
    """
    return imported_object(name, FeedManager, "FeedManager", "myapp.feeds:manager")


def imported_object(name: str, kind: type[_Kind], noun: str, example: str) -> _Kind:
    """Return the object of ``MODULE:NAME``, or the result of the function that has this name.

    Modules of the working directory are found first.

    Args:
        name: the name.
        kind: the class of the object.
        noun: the name of that class in errors.
        example: a name in errors.

    Raises:
        InvalidValueError: The module cannot be imported, or the object has another class.
    """
    advice = f"name it as MODULE:NAME, such as {example}"
    module_name, _, path = name.partition(":")
    if not module_name or module_name.startswith(".") or not path:
        raise InvalidValueError(f"{shown(name)} names no {noun}; {advice}")
    directory = os.getcwd()
    if directory not in sys.path:
        sys.path.insert(0, directory)
    try:
        found: Any = import_module(module_name)
    except ImportError as error:
        raise InvalidValueError(f"the module {shown(module_name)} cannot be imported: {error}") from error
    for part in path.split("."):
        if not hasattr(found, part):
            raise InvalidValueError(f"{shown(module_name)} has no {shown(path)}; {advice}")
        found = getattr(found, part)
    if not isinstance(found, kind) and callable(found):
        found = found()
    if not isinstance(found, kind):
        raise InvalidValueError(f"{shown(name)} is {shown(found)}, and no {noun}; {advice}")
    return found
