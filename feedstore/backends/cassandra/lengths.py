"""The documented limit of a timeline, which is one partition, and the warning when it is near."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable

from feedstore.errors import StorageError

LIMIT = 1_000_000
"""Entries that one timeline should hold at most; beyond it compactions, repairs and counts of the partition suffer."""

_NEAR = 800_000
_LOOK_EACH = 200_000
_MOST_TIMELINES = 10_000
_logger = logging.getLogger("feedstore.backends.cassandra")


class Lengths:
    """Counts what this process adds to timelines in bulk, so that one that grows large is looked at now and then."""

    def __init__(self) -> None:
        self._added: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._lock = threading.Lock()

    def must_look(self, namespace: str, key: str, amount: int) -> bool:
        """Count an addition, and return whether enough were added to count the timeline's entries."""
        with self._lock:
            added = self._added.pop((namespace, key), 0) + amount
            if added >= _LOOK_EACH:
                return True
            self._added[namespace, key] = added
            while len(self._added) > _MOST_TIMELINES:
                self._added.popitem(last=False)
        return False


def look_at(key: str, count: Callable[[str], int]) -> None:
    """Count a timeline, and log a warning where it comes near the limit.

    One that cannot be counted, as one far beyond the limit may not be in time, is a warning too, and no error of the
    addition that was carried out before.
    """
    try:
        length = count(key)
    except StorageError as error:
        _logger.warning("a timeline that has grown could not be counted: %s", error)
        _logger.debug("the timeline is %r", key)
        return
    if length >= _NEAR:
        _logger.warning(
            "a timeline holds %s entries, and %s is the most that one should: a timeline is one partition; trim it, or "
            "deliver to it with max_length",
            f"{length:,}",
            f"{LIMIT:,}",
        )
        _logger.debug("the timeline is %r", key)
