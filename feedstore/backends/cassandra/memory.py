"""What one process has of a store: its session, and what it remembers to be quicker with the next writes."""

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
    """The session, the names in the directory, the deliveries since the last trims, and the growth of timelines.

    Each process has one of its own. It is chosen by the process id wherever it is used, so a fork that runs none of
    Python's hooks is no different; no lock of it can be held by a thread that the fork has left behind.
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
        """Remember that the mark of a namespace was there now."""
        self._namespaces[namespace] = time.monotonic() + LEASE_SECONDS

    def leave(self, parents: list[Memory]) -> None:
        """Leave the sessions of the processes above alone: neither use nor close them, and begin another event loop."""
        self._inherited = parents, leave_inherited_loop()
        for parent in parents:
            if parent.session is not None:
                _discard_cluster_shutdown(parent.session.cluster)
