"""What a run of ingestion did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass
class Summary:
    """Counts of one run, over all its inputs.

    - ``rows``: rows that this run read and could use. ``resumed_rows``: rows behind which it resumed.
    - ``activities``: activities that were new to the store; the other rows were there already.
    - ``deliveries``: entries that were new to followers' timelines. ``too_old``: deliveries that found a full timeline
      of newer entries, and did not stay. ``planned_deliveries``: all that the rows make, those already there included.
    - ``skipped``: rows that were refused and passed over.
    - ``seconds``: how long it took.

    All counts are of what is stored for certain: a run that is broken off may have stored one chunk more.
    """

    rows: int = 0
    resumed_rows: int = 0
    activities: int = 0
    deliveries: int = 0
    too_old: int = 0
    planned_deliveries: int = 0
    skipped: int = 0
    seconds: float = 0.0

    @property
    def repeated_activities(self) -> int:
        """Rows whose activity the store held already."""
        return self.rows - self.activities

    @property
    def repeated_deliveries(self) -> int:
        """Deliveries that the timelines held already."""
        return self.planned_deliveries - self.deliveries - self.too_old

    @property
    def rows_per_second(self) -> float:
        """Rows a second."""
        return self.rows / self.seconds if self.seconds else 0.0

    @property
    def deliveries_per_second(self) -> float:
        """New deliveries a second."""
        return self.deliveries / self.seconds if self.seconds else 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return the counts by name, for programs."""
        return {
            "rows": self.rows,
            "resumed_rows": self.resumed_rows,
            "activities": self.activities,
            "repeated_activities": self.repeated_activities,
            "deliveries": self.deliveries,
            "repeated_deliveries": self.repeated_deliveries,
            "too_old": self.too_old,
            "planned_deliveries": self.planned_deliveries,
            "skipped": self.skipped,
            "seconds": round(self.seconds, 3),
            "rows_per_second": round(self.rows_per_second, 1),
            "deliveries_per_second": round(self.deliveries_per_second, 1),
        }
