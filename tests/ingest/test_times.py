"""Times in ISO 8601."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedstore.errors import InvalidTypeError, InvalidValueError
from feedstore.ingest.times import parse_time

NOON = datetime(2026, 1, 31, 12, 0, 0, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-31T12:00:00Z", NOON),
        ("2026-01-31t12:00:00z", NOON),
        ("2026-01-31 12:00:00Z", NOON),
        ("2026-01-31T12:00:00+00:00", NOON),
        ("2026-01-31T12:00:00-00:00", NOON),
        ("2026-01-31T14:00:00+02:00", NOON),
        ("2026-01-31T14:00:00+0200", NOON),
        ("2026-01-31T14:00:00+02", NOON),
        ("2026-01-31T06:30:00-05:30", NOON),
        ("2026-01-31T12:00:00.5Z", NOON + timedelta(milliseconds=500)),
        ("2026-01-31T12:00:00,25Z", NOON + timedelta(milliseconds=250)),
        ("2026-01-31T12:00:00.001Z", NOON + timedelta(milliseconds=1)),
        ("2026-01-31T12:00:00.000001Z", NOON + timedelta(microseconds=1)),
        ("2026-01-31T12:00:00.000001999Z", NOON + timedelta(microseconds=1)),
        ("2026-01-31T12:00:00.1234567890123+00:00", NOON + timedelta(microseconds=123456)),
        ("2026-01-31T12:00Z", NOON),
        ("2026-01-31 14:00+02:00", NOON),
        ("2026-01-31", NOON - timedelta(hours=12)),
        ("2016-12-31T23:59:60Z", datetime(2016, 12, 31, 23, 59, 59, 999999, timezone.utc)),
        ("2017-01-01T00:59:60.75+01:00", datetime(2016, 12, 31, 23, 59, 59, 999999, timezone.utc)),
    ],
)
def test_what_iso_8601_writes(text: str, expected: datetime) -> None:
    time = parse_time(text)
    assert time == expected
    assert time.utcoffset() is not None


@given(st.datetimes(timezones=st.just(timezone.utc)), st.integers(-23, 23))
def test_what_python_writes_is_read_back(time: datetime, hours: int) -> None:
    written = time.replace(tzinfo=timezone(timedelta(hours=hours)))
    assert parse_time(written.isoformat()) == written
    assert parse_time(written.isoformat()).utcoffset() == written.utcoffset()


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "20260131", "2026-01", "2026-01-31Z", "20260131T120000Z", "2026-01-31T12Z", "1769860799",
     "2026-W05-6T12:00:00Z", "2026-01-31T12:00:00.Z", "2026-01-31T12:00:00ZZ", " 2026-01-31T12:00:00Z",
     "2026-01-31T12:00:00Z\n", "٢٠٢٦-01-31T12:00:00Z", "2026-01-31x12:00:00Z", "2026-01-31T12:00:00 UTC"],
)  # fmt: skip
def test_another_form_is_refused(text: str) -> None:
    with pytest.raises(InvalidValueError, match="cannot be read; write it as in 2026-01-31T08:39:59Z, or a date alone"):
        parse_time(text)


@pytest.mark.parametrize(
    "text",
    ["2026-13-01T12:00:00Z", "2026-02-30T12:00:00Z", "2026-01-31T24:00:01Z", "2026-01-31T12:60:00Z",
     "2026-01-31T12:00:60Z", "2026-01-31T12:00:00+99:00", "0000-01-01T00:00:00Z", "2026-02-30", "2026-01-31T12:60Z",
     "2016-12-30T23:59:60Z", "2016-12-31T23:58:60Z", "2016-12-31T23:59:60+01:00", "9999-12-31T23:59:60Z"],
)  # fmt: skip
def test_what_no_calendar_has_is_refused(text: str) -> None:
    with pytest.raises(InvalidValueError, match="there is no time"):
        parse_time(text)


@pytest.mark.parametrize("text", ["2026-01-31T12:00:00", "2026-01-31T12:00:00.5", "2026-01-31T12:00"])
def test_a_naive_time_is_refused(text: str) -> None:
    with pytest.raises(InvalidValueError, match="has no offset from UTC; end it with Z"):
        parse_time(text)


@pytest.mark.parametrize("value", [1769860799, None, True])
def test_what_is_no_text_is_refused(value: object) -> None:
    with pytest.raises(InvalidTypeError, match="must be a str"):
        parse_time(value)
