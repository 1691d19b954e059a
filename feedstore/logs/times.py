"""The times at the beginning of log lines."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone, tzinfo

from feedstore.events import seconds_of
from feedstore.events.event import EARLIEST, LATEST

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_CLOCK = r"(?P<hour>\d{1,2}):(?P<minute>\d{1,2}):(?P<second>\d{1,2})"
_FRACTION = r"(?:[.,:](?P<fraction>\d{1,9}))?"
_ZONE = r"(?:\s?(?P<zone>Z|[+-]\d\d:?\d\d)\b)?"
_NAME = r"(?P<name>Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_SEARCHED = 120
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_AGO = re.compile(r"(\d{1,9}) ?([smhdw]) ago")
# The first that matches decides. Those without a year take it from the file.
_PATTERNS = tuple(
    re.compile(pattern)
    for pattern in (
        rf"^\W{{0,3}}(?P<year>\d{{4}})-(?P<month>\d\d)-(?P<day>\d\d)[T ]{_CLOCK}{_FRACTION}{_ZONE}",
        rf"^{_NAME} +(?P<day>\d{{1,2}}) {_CLOCK}(?!\d|(?:[.,:]\d{{1,9}})? \d{{4}}\b)",
        rf"^\[?(?:\w{{3}} )?{_NAME} +(?P<day>\d{{1,2}}) {_CLOCK}{_FRACTION} (?P<year>\d{{4}})",
        rf"^(?P<short_year>\d\d)/(?P<month>\d\d)/(?P<day>\d\d) {_CLOCK}",
        r"^(?P<short_year>\d\d)(?P<month>\d\d)(?P<day>\d\d) (?P<hour>\d\d)(?P<minute>\d\d)(?P<second>\d\d)\b",
        rf"^(?P<year>\d{{4}})(?P<month>\d\d)(?P<day>\d\d)-{_CLOCK}{_FRACTION}",
        rf"^\[?(?P<month>\d\d)[-.](?P<day>\d\d) {_CLOCK}{_FRACTION}",
        rf"(?P<day>\d\d)/{_NAME}/(?P<year>\d{{4}}):{_CLOCK}{_ZONE}",
        rf"\b(?P<year>\d{{4}})-(?P<month>\d\d)-(?P<day>\d\d)[T ]{_CLOCK}{_FRACTION}{_ZONE}",
        r"(?<![\w.:-])(?P<epoch>[12]\d{9}(?:\.\d{1,9})?)(?![\w.:-])",
    )
)
_ANCHORED = tuple(pattern for pattern in _PATTERNS if pattern.pattern.startswith("^"))


class LineTimes:
    """Reads the times of the lines of one file.

    Args:
        zone: The timezone of times that do not name theirs.
        written: The time of the last change of the file. A time without a year lies in the year before it.

    Attributes:
        written: The time of the last change. A caller that follows a growing file sets it before each read.
    """

    def __init__(self, zone: tzinfo = timezone.utc, written: datetime | None = None) -> None:
        self._zone = zone
        self.written = datetime.now(timezone.utc) if written is None else written
        self._last = _ANCHORED[0]

    def read(self, line: str) -> float | None:
        """Return the seconds since 1970 of the first time in a line, or None if there is no time.

        >>> LineTimes().read("2017-05-16 00:00:00.008 25746 INFO started")
        1494892800.008
        >>> LineTimes(written=datetime(2026, 1, 5, tzinfo=timezone.utc)).read("Dec 31 23:59:59 host sshd[7]: hello")
        1767225599.0
        """
        head = line[:_SEARCHED]
        # A line mostly has the format of the line before it.
        found = self._last.search(head)
        if found is None:
            for pattern in _PATTERNS:
                found = pattern.search(head)
                if found is not None:
                    # No two of the anchored patterns match one line, so the order of trying them is free.
                    self._last = pattern if pattern in _ANCHORED else self._last
                    break
        seconds = None if found is None else self._seconds(found.groupdict())
        # With its timezone, a time of the year 1 or 9999 may lie outside the years that an event can have.
        return seconds if seconds is not None and EARLIEST <= seconds <= LATEST else None

    def _seconds(self, parts: dict[str, str | None]) -> float | None:
        if parts.get("epoch") is not None:
            return float(str(parts["epoch"]))
        name, month = parts.get("name"), parts.get("month")
        number = _MONTHS.index(name.lower()) + 1 if name else int(month or 0)
        day, hour, minute, second = (int(parts[part] or 0) for part in ("day", "hour", "minute", "second"))
        microsecond = int((parts.get("fraction") or "").ljust(6, "0")[:6])
        try:
            year = parts.get("year") or (f"20{parts['short_year']}" if parts.get("short_year") else None)
            if year is None:
                return self._without_year(
                    number, timedelta(hours=hour, minutes=minute, seconds=second), day, microsecond
                )
            zone = _zone_of(parts.get("zone")) or self._zone
            return datetime(int(year), number, day, hour, minute, second, microsecond, zone).timestamp()
        except (ValueError, OverflowError):
            # A time that no calendar has, such as the 31st of June.
            return None

    def _without_year(self, month: int, clock: timedelta, day: int, microsecond: int) -> float:
        latest = self.written + timedelta(days=1)
        for year in range(latest.year, latest.year - 8, -1):
            try:
                time = datetime(year, month, day, microsecond=microsecond, tzinfo=self._zone) + clock
            except ValueError:
                # The 29th of February of another year.
                continue
            if time <= latest:
                return time.timestamp()
        raise ValueError("no year has this day")


def parse_human_time(text: str, now: datetime | None = None) -> float:
    """Return the seconds since 1970 of a time as people write it.

    It is ``now``, ``today``, ``yesterday``, ``2h ago`` with one of ``s m h d w``, seconds since 1970, or ISO 8601,
    which is in UTC if it names no timezone.

    >>> parse_human_time("90m ago", datetime(1970, 1, 2, tzinfo=timezone.utc)), parse_human_time("1970-01-02")
    (81000.0, 86400.0)
    """
    now = datetime.now(timezone.utc) if now is None else now
    word = text.strip().lower()
    found = _AGO.fullmatch(word)
    if found is not None:
        return now.timestamp() - int(found[1]) * _UNITS[found[2]]
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    words = {"now": now, "today": day, "yesterday": day - timedelta(days=1)}
    if word in words:
        return words[word].timestamp()
    try:
        time = datetime.fromisoformat(text.strip())
    except ValueError:
        return seconds_of(text)
    return (time.replace(tzinfo=timezone.utc) if time.tzinfo is None else time).timestamp()


def _zone_of(text: str | None) -> tzinfo | None:
    if text is None:
        return None
    if text == "Z":
        return timezone.utc
    minutes = int(text[1:3]) * 60 + int(text[-2:])
    return timezone(timedelta(minutes=-minutes if text[0] == "-" else minutes))
