"""Comparing and bisecting newest first: the helpers that users of stream_framework's memory module know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from feedstore.errors import InvalidValueError


def compare(a: Any, b: Any) -> int:
    """Return -1, 0 or 1 as ``a`` is less than, equal to or greater than ``b``."""
    return int(a > b) - int(a < b)


def reverse_bisect_left(a: Sequence[Any], x: Any, lo: int = 0, hi: int | None = None) -> int:
    """Return the position for ``x`` in ``a``, which is sorted from the greatest to the least.

    Everything before the position is greater than or equal to ``x``, and everything from it on is less, so ``x`` goes
    behind its equals, as in stream_framework. ``lo`` and ``hi`` bound the search; a negative ``lo`` is a
    ``ValueError``. O(log n).

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
