"""The files of theia's event store: reading and writing its format.

An event is a preamble, ``event: TOTAL HEADER CONTENT`` with numbers of bytes, a header of four lines, the content, and
a line end. A data file is named by the first and the last second of its events, such as ``10-70``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from feedstore.errors import InputError, InvalidEventError, InvalidValueError
from feedstore.events import Event
from feedstore.shown import shown

_PREAMBLE = re.compile(rb"event: (\d{1,18}) (\d{1,18}) (\d{1,18})")
_NAME = re.compile(r"-?\d+--?\d+")
_FIELDS = ("id", "timestamp", "source", "tags")
_MOST_BYTES = 1 << 30


def is_theia_file(path: str) -> bool:
    """Return whether a path has the name of one of theia's data files."""
    return _NAME.fullmatch(Path(path).name) is not None


def dump_event(event: Event) -> bytes:
    """Return an event in theia's format.

    Raises:
        InvalidValueError: theia's format cannot carry a field: a line end in the id, the source or a tag, a comma in a
            tag, a blank at the end of one of them, or a time that needs more than seven decimal places.

    >>> dump_event(Event("event-1", "/source/1", 10, ["event", "test"], "event 1"))
    b'event: 73 66 7\\nid:event-1\\ntimestamp: 10.0000000\\nsource:/source/1\\ntags:event,test\\nevent 1\\n'
    """
    for name, value in (("id", event.id), ("source", event.source), *(("tag", tag) for tag in event.tags)):
        if value != value.rstrip() or len(value.splitlines()) > 1 or (name == "tag" and "," in value):
            raise InvalidValueError(
                f"theia's format cannot carry the {name} {shown(value)} of the event {shown(event.id)}: it has no line "
                "ends, no blanks at the end of a value, and no commas in tags"
            )
    time = f"{event.timestamp:.7f}"
    if float(time) != event.timestamp:
        raise InvalidValueError(
            f"theia's format cannot carry the time {shown(event.timestamp)} of the event {shown(event.id)}: it has "
            "seven decimal places"
        )
    tags = ",".join(event.tags)
    header = f"id:{event.id}\ntimestamp: {time}\nsource:{event.source}\ntags:{tags}\n".encode()
    content = event.content.encode()
    return b"event: %d %d %d\n%b%b\n" % (len(header) + len(content), len(header), len(content), header, content)


def read_theia(file: BinaryIO, path: str | None = None) -> Iterator[Event]:
    """Yield the events of one of theia's data files, in their order there.

    Raises:
        InputError: The file is damaged, or ends within an event, as after a writer that was killed.
    """
    for _, event in read_theia_from(file, 0, path):
        yield event


def read_theia_from(file: BinaryIO, position: int, path: str | None = None) -> Iterator[tuple[int, Event]]:
    """Yield ``(end, event)`` for the events after a position, at which one ends; see :func:`read_theia`."""
    file.seek(position)
    while line := file.readline(256):
        if line == b"\n":
            position += 1
            continue
        found = _PREAMBLE.fullmatch(line.rstrip(b"\n"))
        if found is None:
            raise _damaged(path, position, f"{shown(line, 60)} is no preamble 'event: TOTAL HEADER CONTENT'")
        total, of_header, of_content = map(int, found.groups())
        if total != of_header + of_content or total > _MOST_BYTES:
            raise _damaged(path, position, f"the lengths {total}, {of_header} and {of_content} do not add up")
        header, content = file.read(of_header), file.read(of_content)
        if len(header) + len(content) < total:
            raise _damaged(path, position, "the file ends within this event; its writer was killed perhaps")
        event = _event(header, content, path, position)
        position += len(line) + total
        yield position, event


def _event(header: bytes, content: bytes, path: str | None, position: int) -> Event:
    try:
        fields = dict(_field(line) for line in header.decode().rstrip("\n").split("\n"))
        unknown = fields.keys() - set(_FIELDS)
        if unknown:
            raise InputError(f"the header {shown(min(unknown))} is not known")
        tags = [tag for tag in fields.get("tags", "").split(",") if tag]
        return Event(fields["id"], fields["source"], fields["timestamp"].strip(), tags, content.decode())
    except KeyError as error:
        raise _damaged(path, position, f"the header {error} is missing") from None
    except (InputError, InvalidEventError, UnicodeDecodeError) as error:
        raise _damaged(path, position, str(error)) from None


def _field(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon:
        raise InputError(f"the header line {shown(line, 60)} has no colon")
    return name.strip().lower(), value


def _damaged(path: str | None, position: int, reason: str) -> InputError:
    return InputError(f"at byte {position}: {reason}", path)
