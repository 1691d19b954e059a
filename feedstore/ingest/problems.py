"""What an input held that could not be used, and what to do about it."""

from __future__ import annotations

from feedstore.errors import InputError, InvalidValueError
from feedstore.ingest.table import Table
from feedstore.shown import shown

STOP = "stop"
SKIP = "skip"
ON_ERROR = (STOP, SKIP)
_KEPT = 20


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
        if len(self.first) < _KEPT:
            self.first.append(error)
