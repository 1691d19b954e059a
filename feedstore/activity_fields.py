"""Checks of an activity's fields, and their conversion."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any
from uuid import UUID

from feedstore.errors import InvalidTypeError, InvalidValueError
from feedstore.ids import microseconds_of, time_from_microseconds
from feedstore.plain_values import plain_copy
from feedstore.shown import shown

_MIN_INTEGER = -(2**63)
_MAX_INTEGER = 2**64 - 1


def checked_name(field: str, value: object) -> str | int:
    """Return an actor, an object, a target or a foreign id. Raises unless it is a str or an int of 64 bits."""
    if isinstance(value, str):
        return checked_text(field, value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidTypeError(
            f"{field} must be a str or an int of 64 bits, not {shown(value)} of type {type(value).__name__}"
            f"{_advice(field, value)}"
        )
    if not _MIN_INTEGER <= value <= _MAX_INTEGER:
        raise InvalidValueError(f"{field} {shown(value)} does not fit into 64 bits; pass it as a str")
    return int(value)


def checked_text(field: str, value: object) -> str:
    """Return a field that must be a str of one character or more, or raise."""
    if not isinstance(value, str):
        advice = f"; pass {field}.infinitive" if isinstance(getattr(value, "infinitive", None), str) else ""
        raise InvalidTypeError(f"{field} must be a str, not {shown(value)} of type {type(value).__name__}{advice}")
    if not value:
        raise InvalidValueError(f"{field} is empty; pass a str of one character or more")
    if not value.isascii():
        _check_encodable(field, value)
    # The str() of a subclass, such as a member of an enumeration, may differ from the str that it is equal to.
    return value if value.__class__ is str else str.__str__(value)


def _check_encodable(field: str, value: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidValueError(f"{field} {shown(value)} holds a lone surrogate, which UTF-8 cannot carry") from None


def in_utc(time: datetime | None) -> datetime:
    """Return a time in UTC; None is now."""
    if time is None:
        return datetime.now(timezone.utc)
    microseconds = microseconds_of(time)
    if time.__class__ is datetime and time.tzinfo is timezone.utc:
        return time
    try:
        return time_from_microseconds(microseconds)
    except OverflowError:
        raise InvalidValueError(f"the time {shown(time)} lies beyond the last year of UTC") from None


def parsed_time(text: str) -> datetime:
    """Return the time that a str gives in RFC 3339."""
    try:
        return datetime.fromisoformat(f"{text[:-1]}+00:00" if text[-1:] in ("Z", "z") else text)
    except ValueError:
        raise InvalidValueError(
            f"the time {shown(text)} is not in RFC 3339; write it as in 2026-05-01T12:00:00Z"
        ) from None


def _advice(field: str, value: object) -> str:
    if isinstance(value, UUID):
        return f"; pass str({field})"
    for name in ("pk", "id"):
        if isinstance(getattr(value, name, None), (str, int)):
            return f"; pass the id of the object, such as {field}.{name}"
    return ""


def copied_context(extra_context: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a plain copy of an extra context."""
    if extra_context is None:
        return {}
    if not isinstance(extra_context, Mapping):
        raise InvalidTypeError(f"extra_context must be a mapping, not {shown(extra_context)}")
    copied: dict[str, Any] = plain_copy(dict(extra_context), "extra_context")
    return copied
