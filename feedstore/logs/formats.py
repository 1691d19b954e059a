"""The formats of log lines: plain, syslog and journald's JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from feedstore.errors import InputError
from feedstore.logs.times import LineTimes
from feedstore.shown import shown

SEVERITIES = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")
_SEVERITY_DIGITS = tuple("01234567")
_MOST_PRIORITY = 191
_SURROGATES = re.compile("[\ud800-\udfff]")
_RFC5424 = re.compile(
    r"<(?P<priority>\d{1,3})>1 (?P<time>\S+) (?P<host>\S+) (?P<app>\S+) (?P<process>\S+) (?P<message_id>\S+) "
    r"(?P<data>-|(?:\[(?:[^\]\\\"]|\\.|\"(?:[^\"\\]|\\.)*\")*\])+)(?: (?P<message>.*))?",
    re.DOTALL,
)
_RFC3164 = re.compile(
    r"(?:<(?P<priority>\d{1,3})>)?(?P<time>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d) (?P<host>[^\s:]+) "
    r"(?P<message>(?P<app>[^\s:\[]+)(?:\[[^\]]*\])?:? ?.*)",
    re.DOTALL,
)
_JOURNAL_TIME = "__REALTIME_TIMESTAMP"


class Record(NamedTuple):
    """The parts of an event that a line gives; None for those that it does not."""

    content: str
    timestamp: float | None = None
    tags: tuple[str, ...] = ()
    id: str | None = None


Format = Callable[[str, LineTimes], Record]
"""A function that returns the record of a line or block, without its line end. Raises :class:`InputError`."""


def read_plain(line: str, times: LineTimes) -> Record:
    """Return a whole line as the content."""
    return Record(line, times.read(line))


def read_rfc5424(line: str, times: LineTimes) -> Record:
    """Return the message of RFC 5424, with its structured data, tagged with the severity, the host and the program."""
    found = _RFC5424.fullmatch(line)
    if found is None:
        raise InputError(f"{shown(line, 80)} is not a line of RFC 5424")
    message = (found["message"] or "").removeprefix("\ufeff")
    content = message if found["data"] == "-" else f"{found['data']} {message}".rstrip()
    timestamp = None if found["time"] == "-" else times.read(found["time"])
    tags = _tags(_severity(found["priority"], line), _given(found["host"]), _given(found["app"]))
    return Record(content, timestamp, tags)


def read_rfc3164(line: str, times: LineTimes) -> Record:
    """Return the tag and the message of RFC 3164, also without the priority, as syslog files have it."""
    found = _RFC3164.fullmatch(line)
    if found is None:
        raise InputError(f"{shown(line, 80)} is not a line of RFC 3164")
    severity = None if found["priority"] is None else _severity(found["priority"], line)
    return Record(found["message"], times.read(found["time"]), _tags(severity, found["host"], found["app"]))


def read_journald(line: str, times: LineTimes) -> Record:
    """Return an entry of ``journalctl -o json``."""
    try:
        entry = json.loads(line)
        timestamp = int(entry[_JOURNAL_TIME]) / 1e6
        priority = str(entry.get("PRIORITY", ""))
        severity = SEVERITIES[int(priority)] if priority in _SEVERITY_DIGITS else None
        unit = entry.get("_SYSTEMD_UNIT") or entry.get("SYSLOG_IDENTIFIER")
        tags = _tags(severity, _journal_text(entry.get("_HOSTNAME")), _journal_text(unit))
        return Record(_journal_text(entry.get("MESSAGE")) or "", timestamp, tags, _journal_text(entry.get("__CURSOR")))
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        raise InputError(f"{shown(line, 80)} is not an entry of journalctl -o json") from None


def read_any(line: str, times: LineTimes) -> Record:
    """Return a line in the format that its beginning shows: journald's JSON, syslog with a priority, or plain."""
    if line.startswith("{") and _JOURNAL_TIME in line:
        return read_journald(line, times)
    if line.startswith("<"):
        if _RFC5424.fullmatch(line):
            return read_rfc5424(line, times)
        if _RFC3164.fullmatch(line):
            return read_rfc3164(line, times)
    return read_plain(line, times)


FORMATS: dict[str, Format] = {
    "auto": read_any,
    "plain": read_plain,
    "rfc5424": read_rfc5424,
    "rfc3164": read_rfc3164,
    "journald": read_journald,
}


def _severity(priority: str, line: str) -> str:
    if int(priority) > _MOST_PRIORITY:
        raise InputError(f"the priority of {shown(line, 80)} is above {_MOST_PRIORITY}")
    return SEVERITIES[int(priority) % 8]


def _given(field: str) -> str | None:
    return None if field == "-" else field


def _tags(severity: str | None, host: str | None, app: str | None) -> tuple[str, ...]:
    tags = (severity, f"host:{host}" if host else None, f"app:{app}" if app else None)
    return tuple(tag for tag in tags if tag)


def _journal_text(value: Any) -> str | None:
    """Return a field of the journal, which is a list of byte values if it is not UTF-8, or has several values."""
    if isinstance(value, list) and all(isinstance(each, int) and 0 <= each < 256 for each in value):
        return bytes(value).decode("utf-8", "replace")
    if isinstance(value, list):
        value = "\n".join(map(str, value))
    # JSON can write half of a surrogate pair, which no encoding of text can store.
    return None if value is None else _SURROGATES.sub("\ufffd", str(value))
