"""The real data that the project ships."""

from __future__ import annotations

import gzip
from functools import cache
from itertools import islice
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ACTIVITIES = ROOT / "examples" / "data" / "dev-review-feed" / "activities.csv.gz"
FOLLOWS = ROOT / "examples" / "data" / "dev-review-feed" / "follows.csv.gz"


@cache
def first_rows(count: int, path: Path = ACTIVITIES) -> str:
    """The header and the first rows."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
        return "".join(islice(lines, count + 1))
