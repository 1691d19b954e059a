"""The formats of exported activities."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from feedstore.activity import Activity
from feedstore.errors import InvalidValueError
from feedstore.ids import id_to_text
from feedstore.interchange import to_as2, to_as2_collection, to_tagged
from feedstore.shown import shown

EXPORT_FORMATS = ("ndjson", "csv", "as2", "as2-collection")
"""NDJSON of the fields of activities; CSV; ActivityStreams 2.0: a document on each line, or one OrderedCollection."""
_COLLECTION_IRI = "urn:feedstore:export"
_MEMBERS = "orderedItems"


class RowFormat(NamedTuple):
    """The parts of a file: its beginning, its rows, the separator between them, and its end.

    Attributes:
        head: The text before the first row.
        row: Returns the text of an activity.
        separator: The text before each row but the first.
        tail: The text after the last row.
    """

    head: str
    row: Callable[[Activity], str]
    separator: str
    tail: str


def activity_row(activity: Activity) -> dict[str, Any]:
    """Return the fields of an activity in types of JSON, from which ``feedstore ingest`` makes an equal activity.

    Values that JSON lacks are tagged (:func:`feedstore.interchange.to_tagged`).

    >>> from datetime import datetime, timezone
    >>> like = Activity("ann", "like", time=datetime(2026, 5, 1, tzinfo=timezone.utc), extra_context={"raw": b"a"})
    >>> row = activity_row(like)
    >>> row["time"], row["extra_context"]
    ('2026-05-01T00:00:00+00:00', {'raw': {'$bytes': 'YQ=='}})
    """
    return {
        "id": id_to_text(activity.serialization_id),
        "time": activity.time.isoformat(),
        "actor": to_tagged(activity.actor),
        "verb": activity.verb,
        "object": to_tagged(activity.object),
        "target": to_tagged(activity.target),
        "foreign_id": to_tagged(activity.foreign_id),
        "extra_context": to_tagged(activity.stored_context),
    }


def row_format(name: str, base: str | None = None, types: Mapping[str, str] | None = None) -> RowFormat:
    """Return a format by its name; ``base`` and ``types`` are those of :func:`feedstore.interchange.to_as2`."""
    if name == "ndjson":
        return RowFormat("", lambda activity: json_line(activity_row(activity)), "", "")
    if name == "csv":
        columns = ("id", "time", "actor", "verb", "object", "target", "foreign_id", "extra_context")
        return RowFormat(_csv_line(columns), _csv_row, "", "")
    if name == "as2":
        return RowFormat("", lambda activity: json_line(to_as2(activity, base=base, types=types)), "", "")
    if name != "as2-collection":
        raise InvalidValueError(f"{shown(name)} is no format; pass one of {', '.join(EXPORT_FORMATS)}")

    def member(activity: Activity) -> str:
        collection = to_as2_collection([activity], _COLLECTION_IRI, base=base, types=types)
        return _json(collection[_MEMBERS][0])

    whole = to_as2_collection([], _COLLECTION_IRI, base=base, types=types)
    head = _json({name: value for name, value in whole.items() if name != _MEMBERS})
    return RowFormat(f'{head[:-1]},"{_MEMBERS}":[\n', member, ",\n", "\n]}\n")


def json_line(value: Any) -> str:
    """Return a value as one line of JSON."""
    return f"{_json(value)}\n"


def _json(value: Any) -> str:
    # A reader may take DEL, which JSON need not escape, for a sign of a binary file.
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("\x7f", "\\u007f")


def _csv_row(activity: Activity) -> str:
    row = activity_row(activity)
    context = row.pop("extra_context")
    names = {"actor": activity.actor, "object": activity.object, "target": activity.target}
    row |= {**names, "foreign_id": activity.foreign_id}
    line = _csv_line([*row.values(), _json(context) if context else None])
    if "\0" in line:
        raise InvalidValueError("a field holds a NUL character, which CSV has no form for; export as ndjson")
    return line


def _csv_line(values: Sequence[Any]) -> str:
    line = io.StringIO(newline="")
    csv.writer(line).writerow(values)
    return line.getvalue()
