"""The driver's event loop, which it chooses when it is imported, and must not share with a parent process."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any

from cassandra import DependencyException

from feedstore.errors import MissingDriverError

_LIBEV = "cassandra.io.libevreactor"


def check_event_loop() -> None:
    """Import the driver, or raise :class:`MissingDriverError` that says how to give it an event loop."""
    try:
        import_module("cassandra.cluster")
    except DependencyException as error:
        raise MissingDriverError(
            "cassandra-driver is installed without an event loop: its libev extension is missing, and Python 3.12 and "
            "newer have no asyncore; install one of its wheels (pip install --only-binary=:all: --force-reinstall "
            "cassandra-driver), or libev's headers (libev-dev) before it is built"
        ) from error


def leave_inherited_loop() -> Any:
    """Make the driver begin a loop of this process's own after a fork; return the parent's, which must stay referenced.

    The driver would close the parent's connections first, whose locks another thread may have held at the fork.
    """
    reactor: Any = sys.modules.get(_LIBEV)
    inherited = getattr(reactor, "_global_loop", None)
    if inherited is None or inherited._pid == os.getpid():
        return None
    reactor._global_loop = None
    return inherited
