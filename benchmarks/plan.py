"""How much one run measures."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.measure import Effort
from benchmarks.operations import FULL, QUICK, Scale


@dataclass(frozen=True)
class Plan:
    """The sizes of the workloads, the effort for each, how many activities and entries are stored to measure their
    bytes, and how many rows are ingested (None: all).
    """

    scale: Scale
    effort: Effort
    stored: int
    rows: int | None


QUICK_PLAN = Plan(QUICK, Effort(pairs=9, seconds=0.01), stored=8_000, rows=5_000)
FULL_PLAN = Plan(FULL, Effort(pairs=25, seconds=0.05), stored=100_000, rows=None)
