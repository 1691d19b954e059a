"""The driver's event loop, which a child process must not share with its parent."""

from __future__ import annotations

import os
import sys
from typing import Any

_LIBEV = "cassandra.io.libevreactor"


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
