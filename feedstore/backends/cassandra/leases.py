"""What this process has put into the directory, and need not put there again for a while."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Iterable

LEASE_SECONDS = 600.0
_MOST_NAMES = 131_072


class Leases:
    """Names by their directory, each good for ten minutes; the oldest are forgotten where there are very many.

    A flush takes names out of the directory only if they were put there two leases ago or earlier, so whoever still
    holds a lease on a name finds it there.
    """

    def __init__(self) -> None:
        self._ends: OrderedDict[tuple[str, str, bytes], float] = OrderedDict()
        self._newest: dict[tuple[str, str], bytes] = {}
        self._lock = threading.Lock()

    def lapsed(self, namespace: str, kind: str, names: Iterable[bytes]) -> list[bytes]:
        """Return the names that must be put into the directory."""
        now, ends = time.monotonic(), self._ends
        return [name for name in names if ends.get((namespace, kind, name), 0.0) <= now]

    def renew(self, namespace: str, kind: str, names: Iterable[bytes], began: float) -> None:
        """Remember that names were put there at or after ``began``, a monotonic time."""
        with self._lock:
            for name in names:
                self._ends.pop((namespace, kind, name), None)
                self._ends[namespace, kind, name] = began + LEASE_SECONDS
                self._newest[namespace, kind] = name
            while len(self._ends) > _MOST_NAMES:
                self._ends.popitem(last=False)

    def newest(self, namespace: str, kind: str) -> bytes | None:
        """Return the name that was put there last. A directory that has it has all the others: one that was emptied or
        restored since lacks this one first.
        """
        return self._newest.get((namespace, kind))

    def forget(self) -> None:
        """Forget every lease, because the directory was emptied or restored."""
        with self._lock:
            self._ends.clear()
            self._newest.clear()
