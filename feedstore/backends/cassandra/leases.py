"""Leases on names in the directory, which this process need not register again for a while."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Iterable

LEASE_SECONDS = 600.0
_MOST_NAMES = 131_072


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
            while len(self._ends) > _MOST_NAMES:
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
