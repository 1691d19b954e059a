"""The plan of a run: sizes and efforts."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.measure import Effort
from benchmarks.operations import FULL, QUICK, Scale


@dataclass(frozen=True)
class Plan:
    """The sizes of the workloads and the effort for each operation.

    It also has the numbers of activities and entries whose bytes are measured, and that of ingested rows (None: all).
    """

    scale: Scale
    effort: Effort
    stored: int
    rows: int | None


QUICK_PLAN = Plan(QUICK, Effort(pairs=9, seconds=0.01), stored=8_000, rows=5_000)
FULL_PLAN = Plan(FULL, Effort(pairs=25, seconds=0.05), stored=100_000, rows=None)
