"""The store of a memory backend: one lock, and a space for each namespace."""

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
    """The spaces of all namespaces, with one reentrant lock. A fork waits for the end of a write.

    A signal handler may raise at any moment of a write. Every write therefore goes through :meth:`write`, and records
    the undo step of each change in the journal before the change. The ``with`` block of a native lock always releases
    the lock.
    """

    label = "memory://"

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.closed = False
        self.journal = Journal()
        self._writing = False
        self._spaces: dict[str, Space] = {}
        follow_forks(self, Store._acquire, Store._release, Store._release)

    def write(self, work: Callable[..., _Result], *arguments: Any) -> _Result:
        """Return ``work(journal, *arguments)``. Its changes stay if it returns, and are undone if it raises.

        Inside another write of the same thread, it is a part of that write.
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
                # No signal handler runs before this assignment.
                self._writing = False
                if journal.steps:
                    journal.roll_back()
            return result

    def recover(self) -> None:
        """Undo an interrupted write. Called with the lock, before each read and write."""
        if self.journal.steps and not self._writing:
            self.journal.roll_back()

    def space(self, namespace: str) -> Space:
        """Return the space of a namespace. The first call creates it."""
        with self.lock:
            return self._spaces.setdefault(namespace, Space())

    def namespaces(self) -> list[str]:
        """Return the namespaces that were used, with those of collections."""
        with self.lock:
            return list(self._spaces)

    def close(self) -> None:
        """Drop all data."""
        with self.lock:
            self.closed = True
            self._spaces = {}

    def _acquire(self) -> None:
        self.lock.acquire()

    def _release(self) -> None:
        self.lock.release()
