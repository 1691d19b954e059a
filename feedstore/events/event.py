"""Events, and the times that they carry."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, cast

from feedstore.errors import InvalidEventError, InvalidTypeError
from feedstore.events.pattern import compile_pattern
from feedstore.shown import shown

EARLIEST = -62_135_596_800.0
"""The start of the year 1, in seconds since 1970."""
_YEAR_10000 = 253_402_300_800.0
LATEST = math.nextafter(_YEAR_10000, 0)
"""The last time of the year 9999 that a float can hold."""

_HALF_A_SECOND = 500_000

TimeLike = float | int | str | datetime
"""A time: seconds since 1970, the str of such a number, an ISO 8601 str with a timezone, or an aware datetime."""


@dataclass(frozen=True, slots=True, init=False)
class Event:
    """An event of a source at a time, with tags and a content.

    Attributes:
        id: The event's own id, any str that is not empty. A store holds one event of each id.
        source: The origin of the event, such as the path of a log file.
        timestamp: The time in seconds since 1970, a float. 0 and negative numbers are times as well.
        tags: The flags of the event, a tuple of strs that are not empty, each once.
        content: The text of the event.

    >>> Event("1", "/var/log/syslog", 0, ["error"], "out of memory")
    Event(id='1', source='/var/log/syslog', timestamp=0.0, tags=('error',), content='out of memory')
    """

    id: str
    source: str
    timestamp: float
    tags: tuple[str, ...]
    content: str

    def __init__(
        self,
        id: str,
        source: str,
        timestamp: TimeLike | None = None,
        tags: Iterable[str] = (),
        content: str = "",
    ) -> None:
        _set_id(self, _checked_text("id", id))
        _set_source(self, _checked_text("source", source))
        _set_timestamp(self, time.time() if timestamp is None else seconds_of(timestamp))
        _set_tags(self, checked_tags(tags))
        _set_content(self, _checked_text("content", content))
        if not id:
            raise InvalidEventError("the id of an event is empty; pass a str of one character or more")

    @classmethod
    def restore_many(cls, stored: Iterable[tuple[str, int, str, str, float, tuple[str, ...]]]) -> list[Event]:
        """Return the events of fields that a store has read and that need no checks.

        Args:
            stored: For each event the content, the number of the save, the id, the source, the time and the tags.
        """
        drafts = []
        for content, _, own_id, source, timestamp, tags in stored:
            draft = _Draft()
            draft.id = own_id
            draft.source = source
            draft.timestamp = timestamp
            draft.tags = tags
            draft.content = content
            draft.__class__ = cls  # type: ignore[assignment]
            drafts.append(draft)
        return cast("list[Event]", drafts)

    def match(
        self,
        id: str | None = None,
        source: str | None = None,
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        content: str | None = None,
        tags: Iterable[str] | None = None,
    ) -> bool:
        """Return whether the event meets all criteria that are given; without criteria it does.

        Args:
            id: A pattern in RE2's syntax, which must match at the start of the id.
            source: A pattern that must match at the start of the source.
            start: The earliest time, inclusive.
            end: The latest time, inclusive.
            content: A pattern that must match at the start of the content.
            tags: Flags that the event must all have, compared literally.

        Raises:
            InvalidSearchError: A pattern is not one of RE2's.
            MissingDriverError: A pattern is given, and google-re2 is not installed.

        >>> event = Event("1", "/var/log/syslog", 0, ["error"], "out of memory")
        >>> event.match(source="/var/log/", end=0, tags=["error"]), event.match(content="memory")
        (True, False)
        """
        if start is not None and self.timestamp < seconds_of(start):
            return False
        if end is not None and self.timestamp > seconds_of(end):
            return False
        if tags is not None and not set(checked_tags(tags)) <= set(self.tags):
            return False
        criteria = ((id, self.id), (source, self.source), (content, self.content))
        return all(pattern is None or compile_pattern(pattern).match(value) for pattern, value in criteria)


class _Draft:
    """An event whose fields can be assigned; it becomes an event by its class. The slots must be those of Event.

    Assigning the fields of a frozen dataclass takes a call for each, which is three times as slow.
    """

    __slots__ = ("content", "id", "source", "tags", "timestamp")

    id: str
    source: str
    timestamp: float
    tags: tuple[str, ...]
    content: str


# A frozen dataclass refuses assignment; a slot's own descriptor is the fastest way to set a field once.
_set_id: Any = vars(Event)["id"].__set__
_set_source: Any = vars(Event)["source"].__set__
_set_timestamp: Any = vars(Event)["timestamp"].__set__
_set_tags: Any = vars(Event)["tags"].__set__
_set_content: Any = vars(Event)["content"].__set__


def event_fields(event: Event) -> dict[str, Any]:
    """Return an event as a document for JSON, with its time in ISO 8601 as well.

    >>> event_fields(Event("1", "app", 0, ["error"], "disk full"))["time"]
    '1970-01-01T00:00:00Z'
    """
    return {
        "id": event.id,
        "time": iso_of(event.timestamp),
        "timestamp": event.timestamp,
        "source": event.source,
        "tags": list(event.tags),
        "content": event.content,
    }


def iso_of(seconds: float) -> str:
    """Return a time in ISO 8601, in UTC."""
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat().replace("+00:00", "Z")


def seconds_of(value: TimeLike) -> float:
    """Return a time as seconds since 1970.

    >>> seconds_of(0), seconds_of("1491580705.97"), seconds_of("2017-04-07T15:58:25.97Z")
    (0.0, 1491580705.97, 1491580705.97)

    Raises:
        InvalidTypeError: The value is neither a number, a str nor a datetime.
        InvalidEventError: The str is no time, the time has no timezone, or it lies outside the years 1 to 9999.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        # An int may be too large for a float.
        return _in_range(float(min(max(value, EARLIEST - 1), LATEST + 1)), value)
    if isinstance(value, str):
        return _seconds_of_text(value)
    if isinstance(value, datetime):
        if value.utcoffset() is None:
            raise InvalidEventError(
                f"the time {shown(value)} has no timezone; pass an aware datetime such as datetime.now(timezone.utc)"
            )
        seconds = value.timestamp()
        if seconds == _YEAR_10000 and value.microsecond > _HALF_A_SECOND:
            # The last microseconds of the year 9999 are rounded up.
            return LATEST
        return _in_range(seconds, value)
    raise InvalidTypeError(
        f"a time is a number of seconds since 1970, an aware datetime or an ISO 8601 str, not {shown(value)} of type "
        f"{type(value).__name__}"
    )


def _seconds_of_text(text: str) -> float:
    time = _parsed(text)
    return _in_range(time, text) if isinstance(time, float) else seconds_of(time)


def _parsed(text: str) -> float | datetime:
    for parse in (float, datetime.fromisoformat):
        try:
            parsed: float | datetime = parse(text.strip())
        except ValueError:
            continue
        return parsed
    raise InvalidEventError(
        f"{shown(text)} is no time; pass seconds since 1970 or ISO 8601 with a timezone, such as '2017-04-07T15:58:25Z'"
    )


def _in_range(seconds: float, value: object) -> float:
    if math.isnan(seconds) or not EARLIEST <= seconds <= LATEST:
        raise InvalidEventError(f"the time {shown(value)} lies outside the years 1 to 9999")
    return seconds + 0.0  # -0.0 becomes 0.0.


def checked_tags(tags: Iterable[str]) -> tuple[str, ...]:
    """Return tags as a tuple without repetitions, or raise: each is a str that is not empty."""
    if tags.__class__ is not tuple or tags:
        if isinstance(tags, (str, bytes)) or not isinstance(tags, Iterable):
            raise InvalidTypeError(f"tags must be a list of strs, not {shown(tags)} of type {type(tags).__name__}")
        checked = tuple(dict.fromkeys(_checked_text("tag", tag) for tag in tags))
        if "" in checked:
            raise InvalidEventError("a tag is empty; leave it out, or pass a str of one character or more")
        return checked
    return ()


def _checked_text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise InvalidTypeError(
            f"the {name} of an event must be a str, not {shown(value)} of type {type(value).__name__}"
        )
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise InvalidEventError(
                f"the {name} {shown(value)} holds a lone surrogate, which UTF-8 cannot store; decode the bytes with "
                "errors='replace'"
            ) from None
    return value
