"""The documented limit of a timeline, which is one partition, and the warning when it is near."""

from __future__ import annotations

import logging
import threading

LIMIT = 1_000_000
"""Entries that one timeline should hold at most; beyond it compactions, repairs and counts of the partition suffer."""

_NEAR = 800_000
_LOOK_EACH = 200_000
_MOST_TIMELINES = 10_000
_logger = logging.getLogger("feedstore.backends.cassandra")


class Lengths:
    """Counts what this process adds to timelines in bulk, so that one that grows large is looked at now and then."""

    def __init__(self) -> None:
        self._added: dict[tuple[str, str], int] = {}
        self._lock = threading.Lock()

    def must_look(self, namespace: str, key: str, amount: int) -> bool:
        """Count an addition, and return whether enough were added to count the timeline's entries."""
        with self._lock:
            added = self._added.pop((namespace, key), 0) + amount
            if added >= _LOOK_EACH:
                return True
            self._added[namespace, key] = added
            while len(self._added) > _MOST_TIMELINES:
                del self._added[next(iter(self._added))]
        return False


def warn_of_length(key: str, length: int) -> None:
    """Log a warning where a timeline comes near the limit."""
    if length >= _NEAR:
        _logger.warning(
            "a timeline holds %s entries, and %s is the most that one should: a timeline is one partition; trim it, or "
            "deliver to it with max_length",
            f"{length:,}",
            f"{LIMIT:,}",
        )
        _logger.debug("the timeline is %r", key)
