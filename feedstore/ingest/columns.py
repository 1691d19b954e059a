"""The columns that an input must have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from feedstore.errors import InvalidValueError
from feedstore.shown import shown

_SHOWN_CHARACTERS = 40
_SHOWN_NAMES = 10


class Columns:
    """The names of an input's columns, in the order in which rows are handed on.

    An input names its columns itself, in any order and in upper or lower case; ``optional`` ones it may leave out.
    ``aliases`` maps other names to these: an input may use them if it uses all of them and no other name.
    """

    def __init__(
        self, names: Sequence[str], optional: Collection[str] = (), aliases: Mapping[str, str] | None = None
    ) -> None:
        self.names = tuple(names)
        self._required = [name for name in names if name not in optional]
        self._aliases = dict(aliases or {})

    def resolve(self, given: Sequence[str]) -> list[str]:
        """Return the columns that an input's names stand for: in lower case, without spaces around, aliases replaced.

        Raises :class:`InvalidValueError` for a required one that is missing, an unknown one, and one that comes twice.
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
