"""What a memory backend keeps: one lock, and a space for each namespace."""

from __future__ import annotations

import os
import threading
import weakref
from typing import Any

from sortedcontainers import SortedDict

from feedstore.backends.memory.entries import Entries


class Space:
    """The data of one namespace."""

    __slots__ = ("activities", "items", "timelines")

    def __init__(self) -> None:
        self.activities: dict[int, Any] = {}
        self.timelines: dict[str, Entries] = {}
        self.items: dict[str, SortedDict] = {}


class Store:
    """The spaces of all namespaces, behind one reentrant lock, which a fork never inherits half way through a write."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.closed = False
        self._spaces: dict[str, Space] = {}
        _hold_while_forking(self.lock)

    def space(self, namespace: str) -> Space:
        """Return the space of a namespace, made at its first use."""
        with self.lock:
            return self._spaces.setdefault(namespace, Space())

    def close(self) -> None:
        """Let go of everything."""
        with self.lock:
            self.closed = True
            self._spaces = {}


def _hold_while_forking(lock: Any) -> None:
    """Hold the lock while the process forks, so that the child's copy is whole and free."""
    reference = weakref.ref(lock)

    def acquire() -> None:
        held = reference()
        if held is not None:
            held.acquire()

    def release() -> None:
        held = reference()
        if held is not None:
            held.release()

    os.register_at_fork(before=acquire, after_in_parent=release, after_in_child=release)
