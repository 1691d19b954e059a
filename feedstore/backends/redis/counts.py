"""Reductions of the counts of writes to the result of a call."""

from __future__ import annotations

from typing import Any


def total(counts: list[Any]) -> int | None:
    """Return the sum of the counts."""
    return int(sum(counts))


def nothing(counts: list[Any]) -> None:
    """Return None, the result of a call without a count."""
