"""What a memory backend keeps: one lock, and a space for each namespace."""

from __future__ import annotations

import threading
from itertools import count
from typing import Any

from sortedcontainers import SortedDict

from feedstore.backends.memory.entries import Entries
from feedstore.backends.memory.messages import Messages
from feedstore.forks import follow_forks


class Space:
    """The data of one namespace."""

    __slots__ = ("activities", "items", "numbers", "queues", "timelines")

    def __init__(self) -> None:
        self.activities: dict[int, Any] = {}
        self.timelines: dict[str, Entries] = {}
        self.items: dict[str, SortedDict] = {}
        self.queues: dict[str, Messages] = {}
        self.numbers = count(1)


class Store:
    """The spaces of all namespaces, behind one reentrant lock, which a fork never inherits half way through a write."""

    label = "memory://"

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.closed = False
        self._spaces: dict[str, Space] = {}
        follow_forks(self, Store._hold, Store._let_go, Store._let_go)

    def space(self, namespace: str) -> Space:
        """Return the space of a namespace, made at its first use."""
        with self.lock:
            return self._spaces.setdefault(namespace, Space())

    def close(self) -> None:
        """Let go of everything."""
        with self.lock:
            self.closed = True
            self._spaces = {}

    def _hold(self) -> None:
        self.lock.acquire()

    def _let_go(self) -> None:
        self.lock.release()
