"""What a run of ingestion did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass
class Summary:
    """Counts of one run, over all its inputs.

    - ``rows``: rows that this run read and could use. ``resumed_rows``: rows that earlier runs had stored.
    - ``activities``: activities that were new to the store.
    - ``deliveries``: entries that followers' timelines did not hold before. A full timeline drops an entry that is
      older than all that it holds; the entry counts here too, each time that it is delivered.
    - ``planned_deliveries``: all deliveries that the rows make, repeated ones included.
    - ``skipped``: rows that were refused and passed over.
    - ``seconds``: how long the run took.

    The counts never exceed what is stored: a run that was interrupted may have stored one chunk more.
    """

    rows: int = 0
    resumed_rows: int = 0
    activities: int = 0
    deliveries: int = 0
    planned_deliveries: int = 0
    skipped: int = 0
    seconds: float = 0.0

    @property
    def repeated_activities(self) -> int:
        """How many activities the store held already."""
        return self.rows - self.activities

    @property
    def repeated_deliveries(self) -> int:
        """Deliveries that the timelines held already."""
        return self.planned_deliveries - self.deliveries

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
            "planned_deliveries": self.planned_deliveries,
            "skipped": self.skipped,
            "seconds": round(self.seconds, 3),
            "rows_per_second": round(self.rows_per_second, 1),
            "deliveries_per_second": round(self.deliveries_per_second, 1),
        }
