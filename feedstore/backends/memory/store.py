"""What a memory backend keeps: one lock, and a space for each namespace."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import count
from typing import Any, TypeVar

from feedstore.backends.memory.entries import Entries
from feedstore.backends.memory.items import Items
from feedstore.backends.memory.journal import Journal
from feedstore.backends.memory.messages import Messages
from feedstore.forks import follow_forks

_Result = TypeVar("_Result")


class Space:
    """The data of one namespace."""

    __slots__ = ("activities", "items", "numbers", "queues", "timelines")

    def __init__(self) -> None:
        self.activities: dict[int, Any] = {}
        self.timelines: dict[str, Entries] = {}
        self.items: dict[str, Items] = {}
        self.queues: dict[str, Messages] = {}
        self.numbers = count(1)


class Store:
    """The spaces of all namespaces, behind one reentrant lock, which a fork never inherits half way through a write.

    A signal handler may raise at any moment of a write. So every write goes through :meth:`write` and records in the
    journal how to undo each change before it makes it. A native lock's ``with`` block always releases the lock.
    """

    label = "memory://"

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.closed = False
        self.journal = Journal()
        self._writing = False
        self._spaces: dict[str, Space] = {}
        follow_forks(self, Store._hold, Store._let_go, Store._let_go)

    def write(self, work: Callable[..., _Result], *arguments: Any) -> _Result:
        """Return ``work(journal, *arguments)``, whose changes all stay if it returns, and are all undone if it raises.

        Inside another write of the same thread it is a part of that.
        """
        journal = self.journal
        with self.lock:
            if self._writing:
                return work(journal, *arguments)
            if journal.steps:
                journal.roll_back()
            try:
                self._writing = True
                result = work(journal, *arguments)
                journal.steps.clear()
            finally:
                # An assignment comes first: no signal handler runs before it.
                self._writing = False
                if journal.steps:
                    journal.roll_back()
            return result

    def recover(self) -> None:
        """Undo a write that was interrupted; called with the lock, before anything is read or written."""
        if self.journal.steps and not self._writing:
            self.journal.roll_back()

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
