"""The state of a store in one process: its session, and the caches that make later writes faster."""

from __future__ import annotations

import threading
import time
from typing import Any

from cassandra.cluster import _discard_cluster_shutdown

from feedstore.backends.cassandra.driver import DriverSession
from feedstore.backends.cassandra.event_loop import leave_inherited_loop
from feedstore.backends.cassandra.excess import Excess
from feedstore.backends.cassandra.journal import Journal, JournalStore
from feedstore.backends.cassandra.leases import LEASE_SECONDS, Leases
from feedstore.backends.cassandra.lengths import Lengths


class Memory:
    """The session, the leases in the directory, the deliveries since the last trims, and the growth of timelines.

    Each process has its own object, which every use chooses by the process id. A fork needs none of Python's hooks, and
    a child never waits for a lock that a thread of its parent held.
    """

    def __init__(self, store: JournalStore) -> None:
        self.session: DriverSession | None = None
        self.lock = threading.Lock()
        self.leases = Leases()
        self.excess = Excess()
        self.lengths = Lengths()
        self.journal = Journal(store)
        self._namespaces: dict[str, float] = {}
        self._inherited: Any = None

    def knows(self, namespace: str) -> bool:
        """Return whether the mark of a namespace was seen in the last ten minutes."""
        return self._namespaces.get(namespace, 0.0) > time.monotonic()

    def remember(self, namespace: str) -> None:
        """Remember for ten minutes that the mark of a namespace exists."""
        self._namespaces[namespace] = time.monotonic() + LEASE_SECONDS

    def leave(self, parents: list[Memory]) -> None:
        """Neither use nor close the sessions of the parent processes, and start another event loop."""
        self._inherited = parents, leave_inherited_loop()
        for parent in parents:
            if parent.session is not None:
                _discard_cluster_shutdown(parent.session.cluster)
