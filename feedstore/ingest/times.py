"""Times in ISO 8601, read the same way on every Python."""

from __future__ import annotations

import re
from datetime import datetime

from feedstore.errors import InvalidTypeError, InvalidValueError
from feedstore.shown import shown

_TIME = re.compile(
    r"""
    ([0-9]{4}-[0-9]{2}-[0-9]{2}) [Tt\ ]
    ([0-9]{2}:[0-9]{2}:[0-9]{2})
    (?: [.,] ([0-9]+) )?
    (?: ([Zz]) | ([+-][0-9]{2}) :? ([0-9]{2})? )?
    """,
    re.VERBOSE | re.ASCII,
)
_EXAMPLE = "2026-01-31T08:39:59Z"


def parse_time(text: object) -> datetime:
    """Return the aware datetime that ``text`` writes: a date, ``T`` or a space, the time, a fraction, and an offset.

    The offset is ``Z``, ``+02:00``, ``+0200`` or ``+02``. A fraction has any number of digits after a point or a
    comma; those beyond the sixth, which neither datetimes nor ids hold, are cut. Raises :class:`InvalidValueError`
    for a text without an offset, of another form, or with a month 13 in it, and :class:`InvalidTypeError` for what is
    no text.

    >>> parse_time("2026-01-31T08:39:59.5Z").isoformat()
    '2026-01-31T08:39:59.500000+00:00'
    """
    if not isinstance(text, str):
        raise InvalidTypeError(f"the time {shown(text)} is no text; write it as in {_EXAMPLE}")
    match = _TIME.fullmatch(text)
    if match is None:
        raise InvalidValueError(f"the time {shown(text, 64)} is not in ISO 8601; write it as in {_EXAMPLE}")
    date, clock, fraction, zulu, hours, minutes = match.groups()
    if not zulu and not hours:
        raise InvalidValueError(
            f"the time {shown(text)} has no offset from UTC; end it with Z or an offset such as +02:00"
        )
    offset = "+00:00" if zulu else f"{hours}:{minutes or '00'}"
    digits = f".{fraction[:6]:0<6}" if fraction else ""
    try:
        return datetime.fromisoformat(f"{date}T{clock}{digits}{offset}")
    except ValueError as error:
        raise InvalidValueError(f"there is no time {shown(text)}: {error}") from None
