"""What an input held that could not be used, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from feedstore.errors import InputError, InvalidValueError
from feedstore.ingest.table import Table
from feedstore.shown import shown

STOP = "stop"
SKIP = "skip"
ON_ERROR = (STOP, SKIP)
_KEPT = 20
_Row = TypeVar("_Row")


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

    def next_usable(self, rows: Iterator[_Row], table: Table) -> _Row | None:
        """Return the next of the rows of a table, or None for one that is counted and passed over.

        Raises the error if errors stop the run or if the input cannot be read any further, and ``StopIteration`` at
        the end.
        """
        try:
            return next(rows)
        except InputError as error:
            if self.on_error == STOP or table.lines.damaged:
                raise
            self.count += 1
            if len(self.first) < _KEPT:
                self.first.append(error)
            return None
