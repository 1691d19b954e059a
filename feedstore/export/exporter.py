"""The export of activities."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, BinaryIO

from feedstore.activity import Activity
from feedstore.errors import FeedstoreError, InvalidValueError
from feedstore.export.output import Output
from feedstore.export.rows import RowFormat, json_line, row_format
from feedstore.export.sources import ROWS_AT_ONCE, ActivitySource
from feedstore.ids import id_to_text
from feedstore.plain_values import plain_value


@dataclass
class ExportSummary:
    """The counts of an export.

    Attributes:
        rows: The written activities, those of earlier runs included.
        resumed_rows: Those that earlier runs had written.
        skipped: The activities that the format has no form for.
        bytes: The size of the file.
        seconds: The duration of this run.
    """

    rows: int = 0
    resumed_rows: int = 0
    skipped: int = 0
    bytes: int = 0
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return the counts by name, for programs."""
        return {**vars(self), "seconds": round(self.seconds, 3)}


def export_activities(
    source: ActivitySource,
    target: str | os.PathLike[str] | BinaryIO,
    *,
    format: str = "ndjson",
    base: str | None = None,
    types: Mapping[str, str] | None = None,
    resume: bool = False,
    overwrite: bool = False,
    on_error: Callable[[FeedstoreError], None] | None = None,
) -> ExportSummary:
    """Write activities to a file, in bounded memory.

    Args:
        source: The activities.
        target: The path of the file, which is compressed if it ends with ``.gz``; or an open binary file.
        format: ``"ndjson"``, which ``feedstore ingest`` takes back without loss; ``"csv"``; ``"as2"``, an
            ActivityStreams document on each line; or ``"as2-collection"``, one ``OrderedCollection``.
        base: The beginning of the IRIs of names, as :func:`feedstore.interchange.to_as2` takes it; like ``types``.
        types: The ActivityStreams types of verbs.
        resume: Continue an export with the same arguments that was killed.
        overwrite: Replace a file that exists.
        on_error: Receives the error of an activity that the format has no form for, and lets the others follow. By
            default the error is raised.

    Raises:
        InvalidValueError: The file exists, or an activity has no form in the format; the error names its id.
    """
    started = time.monotonic()
    rows = row_format(format, base, types)
    identity = {"format": format, "base": base, "types": dict(types or {}), **source.identity}
    output = Output(target, identity, resume=resume, overwrite=overwrite)
    summary = ExportSummary(resumed_rows=output.state.rows)
    with output.open():
        for activities, position in source.chunks(output.state.position):
            texts = [text for one in activities if (text := _text_of(one, rows, on_error)) is not None]
            head = rows.separator if output.state.rows and texts else ""
            if output.state.position is None:
                head = rows.head
            output.write(head + rows.separator.join(texts), len(texts), len(activities) - len(texts), position)
        output.finish(rows.tail if output.state.position is not None else rows.head + rows.tail)
    summary.rows, summary.skipped, summary.bytes = output.state.rows, output.state.skipped, output.state.bytes
    summary.seconds = time.monotonic() - started
    return summary


def write_records(
    records: Iterable[Mapping[str, Any]], target: str | os.PathLike[str] | BinaryIO, *, overwrite: bool = False
) -> int:
    """Write mappings of JSON values as NDJSON, and return their number.

    Args:
        records: The mappings, such as those of :func:`feedstore.privacy.export_person`.
        target: The path of the file, which is compressed if it ends with ``.gz``; or an open binary file.
        overwrite: Replace a file that exists.
    """
    output = Output(target, {"format": "records"}, overwrite=overwrite)
    rest = iter(records)
    with output.open():
        while some := list(islice(rest, ROWS_AT_ONCE)):
            output.write("".join(json_line(plain_value(dict(one))) for one in some), len(some), 0, "")
        output.finish("")
    return output.state.rows


def _text_of(activity: Activity, rows: RowFormat, on_error: Callable[[FeedstoreError], None] | None) -> str | None:
    try:
        return rows.row(activity)
    except FeedstoreError as error:
        named = InvalidValueError(f"the activity {id_to_text(activity.serialization_id)} cannot be written: {error}")
        if on_error is None:
            raise named from error
        on_error(named)
        return None
