"""Results of a run of ingestion: its counts, its problems, and the callbacks for its progress."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from feedstore.errors import InputError, InvalidValueError
from feedstore.ingest.source import Source
from feedstore.ingest.table import Table
from feedstore.shown import shown

STOP = "stop"
SKIP = "skip"
ON_ERROR = (STOP, SKIP)
_KEPT_PROBLEMS = 20


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


class Problems:
    """The errors in an input's rows: with ``on_error="stop"`` the first is raised, with ``"skip"`` all are counted.

    ``count`` is how many were skipped; ``first`` holds the first 20 of them, however many there are.
    """

    def __init__(self, on_error: str = STOP) -> None:
        if on_error not in ON_ERROR:
            raise InvalidValueError(f"on_error is 'stop' or 'skip', not {shown(on_error)}")
        self.on_error = on_error
        self.count = 0
        self.first: list[InputError] = []

    def note(self, error: InputError, table: Table) -> None:
        """Count an error in a row of a table; the caller then goes on with the next row.

        Raises:
            InputError: The error itself, if errors stop the run or if the table cannot be read any further.
        """
        if self.on_error == STOP or table.lines.damaged:
            raise error
        self.count += 1
        if len(self.first) < _KEPT_PROBLEMS:
            self.first.append(error)


class Progress:
    """Hears how far a run is; nothing is shown here.

    Subclass it to show something. ``source.bytes_read`` of ``source.size`` says how far its input is, and ``summary``
    what was done so far in the whole run.
    """

    def start(self, source: Source, summary: Summary) -> None:
        """Hear that an input was opened."""

    def advance(self, source: Source, summary: Summary) -> None:
        """Hear that another chunk was stored."""

    def finish(self, source: Source, summary: Summary) -> None:
        """Hear that an input was closed, at its end or at an error."""
