"""The length limit of a timeline, which is one partition, and the warning near the limit."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable

from feedstore.errors import StorageError

LIMIT = 1_000_000
"""The entries that one timeline should hold at most. Compactions, repairs and counts of a larger partition are slow."""

_NEAR = 800_000
_COUNT_EACH = 200_000
_MOST_TIMELINES = 10_000
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
            while len(self._added) > _MOST_TIMELINES:
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
