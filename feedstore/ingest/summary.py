"""Results of a run of ingestion: its counts, its problems, and the callbacks for its progress."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from feedstore.errors import InputError, InvalidValueError
from feedstore.ingest.source import Source
from feedstore.ingest.table import InputTable
from feedstore.shown import shown

STOP = "stop"
SKIP = "skip"
ON_ERROR = (STOP, SKIP)
_KEPT_PROBLEMS = 20


@dataclass
class Summary:
    """Counts of one run, over all its inputs.

    - ``rows``: well-formed rows of this run. ``resumed_rows``: rows that earlier runs had stored.
    - ``activities``: activities that were new to the store.
    - ``deliveries``: entries that followers' timelines did not hold before. A full timeline drops an entry that is
      older than all its entries; such an entry counts here too, each time that it is delivered.
    - ``planned_deliveries``: all deliveries of the rows, repeated ones included.
    - ``skipped``: rows that were refused and skipped.
    - ``seconds``: the duration of the run.

    The store holds at least as much as the counts say: an interrupted run may have stored one chunk more.
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
        """The number of activities that the store held already."""
        return self.rows - self.activities

    @property
    def repeated_deliveries(self) -> int:
        """The number of deliveries that the timelines held already."""
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

    ``count`` is the number of skipped rows; ``first`` holds the errors of the first 20.
    """

    def __init__(self, on_error: str = STOP) -> None:
        if on_error not in ON_ERROR:
            raise InvalidValueError(f"on_error must be 'stop' or 'skip', not {shown(on_error)}")
        self.on_error = on_error
        self.count = 0
        self.first: list[InputError] = []

    def note(self, error: InputError, table: InputTable) -> None:
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
    """Callbacks for the progress of a run; this class shows nothing.

    Subclass it to show progress. ``source.bytes_read`` of ``source.size`` is the progress in one input, and ``summary``
    holds the counts of the whole run so far.
    """

    def start(self, source: Source, summary: Summary) -> None:
        """Handle the start of an input: it was opened."""

    def advance(self, source: Source, summary: Summary) -> None:
        """Handle the storing of another chunk."""

    def finish(self, source: Source, summary: Summary) -> None:
        """Handle the end of an input: it was closed, at its end or at an error."""
