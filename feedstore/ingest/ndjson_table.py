"""Tables in NDJSON: one JSON object on each line."""

from __future__ import annotations

from typing import Any

from feedstore.errors import InvalidValueError
from feedstore.ingest.table import Table
from feedstore.ingest.values import decode_object
from feedstore.shown import shown


class NdjsonTable(Table):
    """One JSON object on each line, in UTF-8, with the columns as its names; null stands for empty.

    Values keep the types they have in JSON. Empty lines are passed over.
    """

    def __next__(self) -> list[Any]:
        while True:
            text = next(self.lines)
            self.line = self.lines.accept()
            if not text.isspace():
                return self._values_of(text)

    def _values_of(self, text: str) -> list[Any]:
        names = self.columns.names
        try:
            row = decode_object(text.strip())
            if tuple(row) != names:
                row = dict(zip(self.columns.resolve(list(row)), row.values(), strict=True))
        except InvalidValueError as error:
            hint = "; NDJSON has one whole object on each line" if text.strip() == "{" else ""
            raise self.error(f"{error}{hint}") from None
        return [None if row.get(name) == "" else row.get(name) for name in names]

    def read_object(self, value: Any) -> dict[str, Any]:
        """Return the object itself."""
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise InvalidValueError(f'{shown(value)} is no JSON object; write it as in {{"name":1}}')
        return value
