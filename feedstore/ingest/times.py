"""Times in ISO 8601, read the same way on every Python."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

from feedstore.errors import InvalidTypeError, InvalidValueError
from feedstore.shown import shown

# Python reads many more forms of ISO 8601, among them any character between date and time.
_FORM = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[Tt ]([0-9]{2}:[0-9]{2})(?::([0-9]{2})(?:[.,][0-9]+)?)?([Zz]|[+-][0-9]{2}(?::?[0-9]{2})?)?)?",
    re.ASCII,
)
_PLAIN_FORM = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-5][0-9](?:[.][0-9]+)?Z", re.ASCII)
_EXAMPLE = "2026-01-31T08:39:59Z"
_LEAP_SECOND = "60"
_MICROSECOND = timedelta(microseconds=1)


def parse_time(text: object) -> datetime:
    """Return the aware datetime of a str: a date, ``T`` or a space, the time, a fraction, and an offset.

    The offset is ``Z``, ``+02:00``, ``+0200`` or ``+02``. Seconds may be left out. A fraction has any number of digits
    after a point or a comma; digits after the sixth are cut, because neither datetimes nor ids hold them. A date alone
    is its midnight in UTC. A leap second becomes the last microsecond of the second before it, because no datetime
    holds it.

    Raises :class:`InvalidValueError` for a str without an offset, of another form, or with a month 13, and
    :class:`InvalidTypeError` for a value that is not a str.

    >>> parse_time("2026-01-31T08:39:59.5Z").isoformat()
    '2026-01-31T08:39:59.500000+00:00'
    >>> parse_time("2026-01-31").isoformat()
    '2026-01-31T00:00:00+00:00'
    """
    if not isinstance(text, str):
        raise InvalidTypeError(f"the time {shown(text)} must be a str; write it as in {_EXAMPLE}")
    # Most inputs have one form. Without groups it is read in half the time.
    if _PLAIN_FORM.fullmatch(text) is not None:
        return _datetime_of(text, text)
    match = _FORM.fullmatch(text)
    if match is None:
        raise InvalidValueError(
            f"the time {shown(text, 64)} cannot be read; write it as in {_EXAMPLE}, or a date alone as in 2026-01-31"
        )
    date, clock, seconds, offset = match.groups()
    if clock is None:
        return _datetime_of(text, f"{date}T00:00Z")
    if offset is None:
        raise InvalidValueError(
            f"the time {shown(text)} has no offset from UTC; end it with Z or an offset such as +02:00"
        )
    if seconds == _LEAP_SECOND:
        return _before_leap_second(text, f"{date}T{clock}:59.999999{offset.upper()}")
    return _datetime_of(text, text.upper())


def _before_leap_second(text: str, last_microsecond: str) -> datetime:
    """Return the instant before a leap second, which exists at the end of a month in UTC only."""
    time = _datetime_of(text, last_microsecond)
    try:
        after = (time + _MICROSECOND).astimezone(timezone.utc)
    except OverflowError:
        after = None
    if after is None or (after.day, after.hour, after.minute) != (1, 0, 0):
        raise InvalidValueError(f"there is no time {shown(text, 64)}: a leap second ends a month in UTC, at 23:59:60Z")
    return time


def _datetime_of(text: str, exact: str) -> datetime:
    try:
        return datetime.fromisoformat(exact)
    except ValueError as error:
        raise InvalidValueError(f"there is no time {shown(text, 64)}: {error}") from None
