"""Names of stream_framework's storage package that feedstore's own packages do not use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from feedstore.backends.memory import InMemoryActivityStorage, InMemoryTimelineStorage
from feedstore.errors import InvalidValueError
from feedstore.serializers import DummySerializer, TimelineReferenceSerializer
from feedstore.storage import ActivityStorage, Storage, TimelineStorage

BaseStorage = Storage
BaseActivityStorage = ActivityStorage
BaseTimelineStorage = TimelineStorage
SimpleTimelineSerializer = TimelineReferenceSerializer

__all__ = [
    "BaseActivityStorage",
    "BaseStorage",
    "BaseTimelineStorage",
    "DummySerializer",
    "InMemoryActivityStorage",
    "InMemoryTimelineStorage",
    "SimpleTimelineSerializer",
    "compare",
    "reverse_bisect_left",
]


def compare(a: Any, b: Any) -> int:
    """Return -1, 0 or 1 if ``a`` is less than, equal to or greater than ``b``."""
    return int(a > b) - int(a < b)


def reverse_bisect_left(a: Sequence[Any], x: Any, lo: int = 0, hi: int | None = None) -> int:
    """Return the position for ``x`` in ``a``, which is sorted from the greatest to the least.

    All items before the position are greater than or equal to ``x``, and all items from it on are less. So ``x`` goes
    after its equals, as in stream_framework. ``lo`` and ``hi`` bound the search. O(log n).

    Raises:
        InvalidValueError: ``lo`` is negative.

    >>> reverse_bisect_left([9, 7, 5], 6)
    2
    """
    if lo < 0:
        raise InvalidValueError(f"lo is {lo}; it must be 0 or more")
    if hi is None:
        hi = len(a)
    while lo < hi:
        middle = (lo + hi) // 2
        if x > a[middle]:
            hi = middle
        else:
            lo = middle + 1
    return lo
