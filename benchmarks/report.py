"""Reports of a run: tables for people, JSON for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.ingestion import Ingestion
from benchmarks.machine import description
from benchmarks.memory_usage import Footprint
from benchmarks.run import Row

_MEBIBYTE = 1024 * 1024


@dataclass
class Report:
    """The measurements of one run."""

    arguments: str
    rows: list[Row] = field(default_factory=list)
    ancestor_rows: list[Row] = field(default_factory=list)
    footprints: list[Footprint] = field(default_factory=list)
    ingestions: list[Ingestion] = field(default_factory=list)

    def text(self) -> str:
        """Return the tables for people, without empty ones."""
        sections = []
        if self.rows:
            sections += ["Rates, and the product's as a share of the raw driver's:", row_table(self.rows)]
        if self.ancestor_rows:
            sections += ["Rates, and the product's as a multiple of stream_framework's:", row_table(self.ancestor_rows)]
        if self.footprints:
            sections += ["Space:", footprint_table(self.footprints)]
        if self.ingestions:
            sections += ["Ingestion into an empty store:", ingestion_table(self.ingestions)]
        return "\n\n".join(sections)

    def as_json(self) -> dict[str, Any]:
        """Return the report for programs. Rates are units a second, and sizes bytes."""
        return {
            "format": 1,
            "arguments": self.arguments,
            "machine": description(),
            "rows": [asdict(row) for row in self.rows],
            "ancestor_rows": [asdict(row) for row in self.ancestor_rows],
            "footprints": [asdict(footprint) for footprint in self.footprints],
            "ingestions": [asdict(ingestion) for ingestion in self.ingestions],
        }


def row_table(rows: Sequence[Row]) -> str:
    """Return rates and ratios as a table."""
    headings = ("backend", "operation", "unit/s", "feedstore", "against", "ratio", "p10", "p90", "aim", "")
    return aligned([headings, *map(_row_cells, rows)], left=3)


def _row_cells(row: Row) -> tuple[str, ...]:
    comparison, ratio = row.comparison, row.comparison.ratio
    aim, verdict = "", ""
    if row.aim is not None:
        aim, verdict = f"{row.aim:.1f}", "met" if ratio.median >= row.aim else "short"
    rates = (rounded(comparison.product_rate), rounded(comparison.other_rate))
    spread = tuple(f"{value:.2f}" for value in (ratio.median, ratio.p10, ratio.p90))
    return (row.backend, row.title, row.unit, *rates, *spread, aim, verdict)


def footprint_table(footprints: Sequence[Footprint]) -> str:
    """Return the bytes of activities and entries as a table."""
    headings = ("backend", "bytes of", "feedstore", "raw")
    lines = [(one.backend, one.what, f"{one.product_bytes:.0f}", f"{one.raw_bytes:.0f}") for one in footprints]
    return aligned([headings, *lines], left=2)


def ingestion_table(ingestions: Sequence[Ingestion]) -> str:
    """Return the figures of ingestions as a table."""
    headings = ("backend", "activities", "deliveries", "seconds", "activities/s", "deliveries/s", "peak MiB")
    return aligned([headings, *map(_ingestion_cells, ingestions)], left=1)


def _ingestion_cells(one: Ingestion) -> tuple[str, ...]:
    counts = (f"{one.activities:,}", f"{one.deliveries:,}", f"{one.seconds:.1f}")
    rates = (rounded(one.activities / one.seconds), rounded(one.deliveries / one.seconds))
    return (one.backend, *counts, *rates, f"{one.peak_bytes / _MEBIBYTE:.0f}")


def aligned(lines: Sequence[tuple[str, ...]], left: int) -> str:
    """Return lines of cells in columns, of which the first ``left`` are flush left and the rest flush right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if number < left else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def rounded(value: float) -> str:
    """Return a rate with three significant digits."""
    if value < 1000:
        return f"{value:.3g}"
    return f"{round(value, 3 - len(str(int(value)))):,.0f}"
