"""The state of a store in one process: its session, and the caches that make later writes faster.

The caches are leases on names in the directory, the excess of timelines since their last trims, and their growth.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

from cassandra.cluster import _discard_cluster_shutdown

from feedstore.backends.cassandra.adjustments import leave_inherited_loop
from feedstore.backends.cassandra.driver import DriverSession
from feedstore.backends.cassandra.journal import Journal, JournalStore
from feedstore.errors import StorageError

LEASE_SECONDS = 600.0
_MOST_LEASES = 131_072


class Leases:
    """Leases of ten minutes on names, by directory. Beyond 131,072 leases, the oldest are dropped.

    A flush removes a name from the directory only if it was registered at least two leases ago, so a name under a lease
    is in the directory.
    """

    def __init__(self) -> None:
        self._ends: OrderedDict[tuple[str, str, bytes], float] = OrderedDict()
        self._newest: dict[tuple[str, str], bytes] = {}
        self._lock = threading.Lock()

    def lapsed(self, namespace: str, kind: str, names: Iterable[bytes]) -> list[bytes]:
        """Return the names without a lease, which must be registered."""
        now, ends = time.monotonic(), self._ends
        return [name for name in names if ends.get((namespace, kind, name), 0.0) <= now]

    def renew(self, namespace: str, kind: str, names: Iterable[bytes], began: float) -> None:
        """Lease names that were registered at or after ``began``, a monotonic time."""
        with self._lock:
            for name in names:
                self._ends.pop((namespace, kind, name), None)
                self._ends[namespace, kind, name] = began + LEASE_SECONDS
                self._newest[namespace, kind] = name
            while len(self._ends) > _MOST_LEASES:
                self._ends.popitem(last=False)

    def newest(self, namespace: str, kind: str) -> bytes | None:
        """Return the name that was registered last.

        If the directory has this name, it has all others under a lease: a directory that was emptied or restored lacks
        this one first.
        """
        return self._newest.get((namespace, kind))

    def forget(self) -> None:
        """Forget every lease, because the directory was emptied or restored."""
        with self._lock:
            self._ends.clear()
            self._newest.clear()


# A trim to n entries reads n + 1 ids. Measured on fan-outs of one activity, against the rate without trims: a trim in
# each fan-out to timelines of 100 keeps 0.03 of the rate; a trim after every 2 n entries, at most 512, keeps 0.75, and
# with timelines of 800 0.67.
_LEAST_EXCESS = 16
_MOST_EXCESS = 512
FAN_OUT_EXCESS = 2 * _MOST_EXCESS
"""The most entries beyond its length that a timeline may hold because of one writer process.

It is twice the limit of the count, because another thread may deliver while a trim runs."""

# With more timelines than this, fan-outs in the same order would find none of their counts.
_MOST_EXCESSES = 262_144


class Excess:
    """Counts of deliveries to timelines. The first delivery to a timeline trims it, and so does a lower length."""

    def __init__(self) -> None:
        self._counts: OrderedDict[tuple[str, str], list[int]] = OrderedDict()
        self._lock = threading.Lock()

    def limit(self, length: int) -> int:
        """Return the number of entries that may stay beyond a length."""
        return min(_MOST_EXCESS, max(_LEAST_EXCESS, 2 * length))

    def deliver(self, namespace: str, keys: Iterable[str], amount: int, length: int) -> list[str]:
        """Count a delivery, and return the timelines that must be trimmed after it."""
        limit = self.limit(length)
        due = []
        with self._lock:
            for key in keys:
                state = self._counts.get((namespace, key))
                if state is not None and state[0] + amount < limit and length >= state[1]:
                    state[0] += amount
                    continue
                due.append(key)
                # Random first counts spread the trims of timelines that get the same deliveries.
                self._counts[namespace, key] = [0 if state else random.randrange(limit), length]
            while len(self._counts) > _MOST_EXCESSES:
                self._counts.popitem(last=False)
        return due

    def add(self, namespace: str, keys: Iterable[str], amount: int) -> None:
        """Count entries that were added without a length to timelines that have a count."""
        with self._lock:
            for key in keys:
                state = self._counts.get((namespace, key))
                if state is not None:
                    state[0] += amount

    def forget(self, namespace: str, keys: Iterable[str]) -> None:
        """Forget the counts of timelines whose trim failed. The next delivery trims them."""
        with self._lock:
            for key in keys:
                self._counts.pop((namespace, key), None)


LIMIT = 1_000_000
"""The entries that one timeline should hold at most. Compactions, repairs and counts of a larger partition are slow."""

_NEAR = 800_000
_COUNT_EACH = 200_000
_MOST_LENGTHS = 10_000
_logger = logging.getLogger("feedstore.backends.cassandra")


class Lengths:
    """Counts of the entries that this process adds to timelines in bulk, which decide when to read their lengths."""

    def __init__(self) -> None:
        self._added: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._lock = threading.Lock()

    def must_check(self, namespace: str, key: str, amount: int) -> bool:
        """Add to a timeline's count. Return whether its length must be read: once for each 200,000 added entries."""
        with self._lock:
            added = self._added.pop((namespace, key), 0) + amount
            if added >= _COUNT_EACH:
                return True
            self._added[namespace, key] = added
            while len(self._added) > _MOST_LENGTHS:
                self._added.popitem(last=False)
        return False


def warn_if_long(key: str, count: Callable[[str], int]) -> None:
    """Read a timeline's length with ``count``, and log a warning if it is near the limit.

    If the count fails, the function logs a warning too and raises nothing, because the entries were added before. A
    count of a timeline far beyond the limit may run into its timeout.
    """
    try:
        length = count(key)
    except StorageError as error:
        _logger.warning("cannot count a timeline that received many entries: %s", error)
        _logger.debug("the timeline is %r", key)
        return
    if length >= _NEAR:
        _logger.warning(
            "a timeline holds %s entries; it is one partition and should hold %s at most: trim it, or deliver to it "
            "with max_length",
            f"{length:,}",
            f"{LIMIT:,}",
        )
        _logger.debug("the timeline is %r", key)


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
