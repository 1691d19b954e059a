"""A table: rows of values under known columns, whatever the format."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from feedstore.errors import InputError
from feedstore.ingest.columns import Columns
from feedstore.ingest.lines import Lines, Position


class Table(ABC):
    """An iterator over the rows of an input, each a list of values in the order of the columns, None where empty.

    An error is an :class:`InputError` with the line where the row begins. Unless ``lines.damaged`` the iteration may
    go on after it, with the next row.
    """

    def __init__(self, lines: Lines, columns: Columns) -> None:
        self.lines = lines
        self.columns = columns
        self.line = 0
        """The line where the last row began."""

    def __iter__(self) -> Table:
        return self

    @abstractmethod
    def __next__(self) -> list[Any]:
        """Return the values of the next row."""

    def read_columns(self) -> list[Sequence[str]] | None:
        """Return the values of further rows, column by column, or None where the rows must be iterated over.

        Each of the rows is one line. An empty str stands for an empty value, and an empty column for one that the input
        leaves out. :meth:`line_of` returns the line of each row.
        """
        return None

    def line_of(self, row: int) -> int:
        """Return the line of a row that :meth:`read_columns` returned last, by its number from 0."""
        raise NotImplementedError

    @abstractmethod
    def read_object(self, value: Any) -> dict[str, Any]:
        """Return the JSON object that a value holds; of None, an empty one.

        Raises :class:`InvalidValueError` for anything else.
        """

    def position(self) -> Position:
        """Return the place behind the last row; see :meth:`Lines.position`."""
        return self.lines.position()

    def position_before_last(self) -> Position:
        """Return the place before the last row; see :meth:`Lines.position_before_last`."""
        return self.lines.position_before_last()

    def error(self, reason: str) -> InputError:
        """Return the error for something wrong in the last row."""
        return InputError(reason, self.lines.name, self.line)
