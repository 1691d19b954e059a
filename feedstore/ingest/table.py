"""Tables of every format: rows of values under known columns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from feedstore.errors import InputError, InvalidValueError
from feedstore.ingest.lines import InputPosition, Lines
from feedstore.shown import shown

_SHOWN_CHARACTERS = 40
_SHOWN_NAMES = 10


class Columns:
    """The names of an input's columns, in the order of the values in a table's rows.

    An input names its columns in any order and in upper or lower case; it may leave out ``optional`` ones. ``aliases``
    maps other names to these: an input may use them if it uses all of them and no other name.
    """

    def __init__(
        self, names: Sequence[str], optional: Collection[str] = (), aliases: Mapping[str, str] | None = None
    ) -> None:
        self.names = tuple(names)
        self._required = [name for name in names if name not in optional]
        self._aliases = dict(aliases or {})

    def resolve(self, given: Sequence[str]) -> list[str]:
        """Return the columns for an input's names: in lower case, stripped of spaces, with aliases replaced.

        Raises :class:`InvalidValueError` for a missing required name, an unknown name and a repeated name.
        """
        given = [name.strip().lower() for name in given]
        if self._aliases and set(given) == set(self._aliases):
            given = [self._aliases[name] for name in given]
        counts = Counter(given)
        self._check("missing", [name for name in self._required if name not in counts])
        self._check("unknown", [name for name in counts if name not in self.names])
        self._check("repeated", [name for name, count in counts.items() if count > 1])
        return list(given)

    def _check(self, problem: str, names: Sequence[str]) -> None:
        if names:
            listed = ", ".join(shown(name, _SHOWN_CHARACTERS) for name in names[:_SHOWN_NAMES])
            more = f" and {len(names) - _SHOWN_NAMES} more" if len(names) > _SHOWN_NAMES else ""
            columns = f"column{'s' if len(names) > 1 else ''}"
            raise InvalidValueError(f"{problem} {columns} {listed}{more}; the columns are {','.join(self.names)}")


class InputTable(ABC):
    """An iterator over the rows of an input, each a list of values in the order of the columns, None where empty.

    An error is an :class:`InputError` with the line where the row begins. Unless ``lines.damaged`` the caller may
    continue with the next row.
    """

    def __init__(self, lines: Lines, columns: Columns) -> None:
        self.lines = lines
        self.columns = columns
        self.line = 0
        """The line where the last row began."""

    def __iter__(self) -> Iterator[list[Any]]:
        return self

    @abstractmethod
    def __next__(self) -> list[Any]:
        """Return the values of the next row."""

    def read_columns(self) -> list[Sequence[str]] | None:
        """Return the values of further rows, column by column, or None if the caller must iterate over the rows.

        Each of the rows is one line. An empty value is an empty str; a column that the input leaves out is empty.
        :meth:`line_of` returns the line of each row.
        """
        return None

    def line_of(self, row: int) -> int:
        """Return the line of a row that :meth:`read_columns` returned last, by its number from 0."""
        raise NotImplementedError

    @abstractmethod
    def read_object(self, value: Any) -> dict[str, Any]:
        """Return the JSON object that a value holds; for None, an empty one.

        Raises :class:`InvalidValueError` for anything else.
        """

    def position(self) -> InputPosition:
        """Return the place after the last row; see :meth:`Lines.position`."""
        return self.lines.position()

    def position_before_last(self) -> InputPosition:
        """Return the place before the last row; see :meth:`Lines.position_before_last`."""
        return self.lines.position_before_last()

    def error(self, reason: str) -> InputError:
        """Return the error for the last row, with its line."""
        return InputError(reason, self.lines.name, self.line)
