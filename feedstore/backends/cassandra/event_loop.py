"""The driver's event loop, which a child process must not share with its parent."""

from __future__ import annotations

import os
import sys
from typing import Any

_LIBEV = "cassandra.io.libevreactor"


def leave_inherited_loop() -> Any:
    """Make the driver start a loop of this process's own after a fork.

    Otherwise the driver would first close the parent's connections, whose locks another thread may have held at the
    fork.

    Returns:
        The parent's loop, which the caller must keep referenced, or None if there is none.
    """
    reactor: Any = sys.modules.get(_LIBEV)
    inherited = getattr(reactor, "_global_loop", None)
    if inherited is None or inherited._pid == os.getpid():
        return None
    reactor._global_loop = None
    return inherited
