"""The checked arguments of a search, and its cursor."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from feedstore.errors import InvalidCursorError, InvalidEventError, InvalidSearchError, InvalidTypeError
from feedstore.events.event import EARLIEST, LATEST, Event, TimeLike, checked_tags, seconds_of
from feedstore.events.pattern import Pattern, compile_content_pattern
from feedstore.shown import shown
from feedstore.storage.page import decode_checked, encode_checked

_VERSION = 1


@dataclass(frozen=True)
class Query:
    """The checked arguments of a search.

    ``after`` is the time and the id of the event after which the search continues.
    """

    start: float
    end: float
    flags: tuple[str, ...]
    pattern: Pattern[bytes] | None
    descending: bool
    limit: int | None
    after: tuple[float, str] | None

    def accepts(self, event: Event) -> bool:
        """Return whether an event meets all conditions of the search, its time included."""
        if not self.start <= event.timestamp <= self.end or not set(self.flags).issubset(event.tags):
            return False
        return self.pattern is None or self.pattern.search(event.content.encode()) is not None

    def is_passed(self, event: Event) -> bool:
        """Return whether an event lies at or before the event after which the search continues."""
        if self.after is None:
            return False
        place = event.timestamp, event.id
        return place >= self.after if self.descending else place <= self.after


def checked_query(
    ts_start: TimeLike,
    ts_end: TimeLike | None,
    flags: Iterable[str] | None,
    match: str | None,
    order: str,
    limit: int | None,
    after: str | None,
) -> Query:
    """Return the query of a search's arguments.

    Raises:
        InvalidSearchError: An argument is not allowed.
    """
    if not isinstance(order, str) or order not in ("asc", "desc"):
        raise InvalidSearchError(f"the order {shown(order)} is not known; pass 'asc' or 'desc'")
    if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 1):
        raise InvalidSearchError(f"limit must be an int of 1 or more, or None, not {shown(limit)}")
    return Query(
        start=_bound("ts_start", ts_start),
        end=LATEST if ts_end is None else _bound("ts_end", ts_end),
        flags=checked_flags("flags", flags),
        pattern=None if match is None else compile_content_pattern(match),
        descending=order == "desc",
        limit=limit,
        after=None if after is None else _decode_cursor(after, order),
    )


def _bound(name: str, value: TimeLike) -> float:
    """Return a bound in seconds. A number beyond the times that events can have is moved to the nearest of them."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        value = min(max(value, EARLIEST), LATEST)
    return checked_seconds(name, value)


def checked_seconds(name: str, value: TimeLike) -> float:
    """Return the time in an argument in seconds, or raise :class:`InvalidSearchError`."""
    try:
        return seconds_of(value)
    except (InvalidEventError, InvalidTypeError) as error:
        raise InvalidSearchError(f"{name}: {error}") from None


def checked_flags(name: str, flags: Iterable[str] | None) -> tuple[str, ...]:
    """Return the flags in an argument, or raise :class:`InvalidSearchError`. None is no flags."""
    try:
        return () if flags is None else checked_tags(flags)
    except (InvalidEventError, InvalidTypeError) as error:
        raise InvalidSearchError(f"{name}: {error}") from None


def search_cursor(event: Event, descending: bool) -> str:
    """Return the cursor that continues a search after an event."""
    order = "desc" if descending else "asc"
    body = json.dumps([_VERSION, order, event.timestamp, event.id], ensure_ascii=False).encode()
    return encode_checked(body)


def _decode_cursor(cursor: str, order: str) -> tuple[float, str]:
    if not isinstance(cursor, str):
        raise InvalidSearchError(f"after must be the cursor of a search or None, not {shown(cursor)}")
    try:
        body = decode_checked(cursor)
    except InvalidCursorError:
        body = b""
    if body[:1] != b"[":
        raise InvalidSearchError(
            f"the cursor {shown(cursor, 64)} was altered or cut; pass it as the search returned it"
        )
    version, made_for, timestamp, own_id = json.loads(body)
    if version != _VERSION:
        raise InvalidSearchError(f"the cursor {shown(cursor, 64)} was made by a newer release")
    if made_for != order:
        raise InvalidSearchError(f"the cursor belongs to the order {shown(made_for)}; this search has {shown(order)}")
    return timestamp, own_id
