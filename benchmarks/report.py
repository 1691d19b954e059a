"""What people and programs read."""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.run import Row

_HEADINGS = ("backend", "operation", "unit", "feedstore/s", "raw/s", "ratio", "p10", "p90", "aim", "")
_LEFT = 3


def table(rows: Iterable[Row]) -> str:
    """Return the rows as a table for people."""
    return aligned([_HEADINGS, *map(_cells, rows)], _LEFT)


def aligned(lines: list[tuple[str, ...]], left: int) -> str:
    """Return lines of cells in columns, of which the first ``left`` are flush left and the rest flush right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if number < left else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _cells(row: Row) -> tuple[str, ...]:
    comparison, ratio = row.comparison, row.comparison.ratio
    verdict = "" if row.aim is None else "met" if ratio.median >= row.aim else "short"
    return (
        row.backend,
        row.title,
        row.unit,
        rate(comparison.product_rate),
        rate(comparison.other_rate),
        f"{ratio.median:.2f}",
        f"{ratio.p10:.2f}",
        f"{ratio.p90:.2f}",
        "" if row.aim is None else f"{row.aim:.1f}",
        verdict,
    )


def rate(value: float) -> str:
    """Return a rate with three digits that count."""
    if value >= 1000:
        digits = max(len(str(int(value))) - 3, 0)
        return f"{round(value, -digits):,.0f}"
    return f"{value:.3g}"
