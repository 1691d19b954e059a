"""Lines of every format, and the times in them."""

from __future__ import annotations

from datetime import datetime, timezone
from zoneinfo import ZoneInfo

import pytest

from feedstore.errors import InputError
from feedstore.logs import FORMATS, LineTimes, Record, parse_human_time

WRITTEN = datetime(2026, 1, 5, tzinfo=timezone.utc)
# A line of each kind of log, with its time in UTC.
TIMES = {
    "03-17 16:13:38.811  1702  2395 D WindowManager: x": "2025-03-17T16:13:38.811",
    "[Sun Dec 04 04:47:44 2005] [notice] workerEnv.init() ok": "2005-12-04T04:47:44",
    "- 1117838570 2005.06.03 R02-M1 2005-06-03-15.42.50.675872 RAS": "2005-06-03T22:42:50",
    "081109 203615 148 INFO dfs.DataNode: terminating": "2008-11-09T20:36:15",
    "134681 node-246 unix.hw state_change.unavailable 1077804742 1": "2004-02-26T14:12:22",
    "2015-10-18 18:01:47,978 INFO [main] Created": "2015-10-18T18:01:47.978",
    "20171223-22:15:29:606|Step_LSC|30002312|x": "2017-12-23T22:15:29.606",
    "Jun 14 15:16:01 combo sshd(pam_unix)[19939]: failure": "2025-06-14T15:16:01",
    "Jan  5 23:00:00 host cron: x": "2026-01-05T23:00:00",
    "Jan  7 00:00:00 host cron: x": "2025-01-07T00:00:00",
    "Feb 29 12:00:00 host cron: x": "2024-02-29T12:00:00",
    "nova-api.log 2017-05-16 00:00:00.008 25746 INFO x": "2017-05-16T00:00:00.008",
    "[10.30 16:49:06] chrome.exe - proxy": "2025-10-30T16:49:06",
    "17/06/09 20:10:40 INFO executor.Backend: x": "2017-06-09T20:10:40",
    '127.0.0.1 - - [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.0" 200': "2000-10-10T20:55:36",
    "2026-11-29T08:00:00.5+02:00 x": "2026-11-29T06:00:00.5",
    "[2026-11-29 08:00:00Z] x": "2026-11-29T08:00:00",
    "1491580705.97 x": "2017-04-07T15:58:25.97",
}


@pytest.mark.parametrize("line", TIMES)
def test_the_time_of_a_line_is_found(line: str) -> None:
    expected = datetime.fromisoformat(f"{TIMES[line]}+00:00").timestamp()
    assert LineTimes(written=WRITTEN).read(line) == expected


def test_lines_without_a_time_have_none() -> None:
    times = LineTimes(written=WRITTEN)
    for line in ("", "    at java.lang.Thread.run", "2026-13-45 99:00:00 x", "Jun 31 00:00:00 x", "id 15178381234"):
        assert times.read(line) is None


def test_lines_of_each_format_are_read() -> None:
    times = LineTimes(written=WRITTEN)
    rfc5424 = '<165>1 2003-10-11T22:14:15.003Z host app 42 ID47 [a@1 k="v\\"]"][b] \ufeffhello'
    assert FORMATS["rfc5424"](rfc5424, times) == Record(
        '[a@1 k="v\\"]"][b] \ufeffhello'.replace("\ufeff", ""), 1065910455.003, ("notice", "host:host", "app:app")
    )
    assert FORMATS["rfc5424"]("<34>1 - - - - - -", times) == Record("", None, ("crit",))
    rfc3164 = "<34>Oct 11 22:14:15 mymachine su[7]: 'su root' failed"
    assert FORMATS["rfc3164"](rfc3164, times) == Record(
        "su[7]: 'su root' failed", 1760220855.0, ("crit", "host:mymachine", "app:su")
    )
    assert FORMATS["rfc3164"](rfc3164[4:], times).tags == ("host:mymachine", "app:su")
    journal = '{"__REALTIME_TIMESTAMP":"1491580705970000","PRIORITY":"3","MESSAGE":[104,105,255],"__CURSOR":"c1"}'
    assert FORMATS["journald"](journal, times) == Record("hi\ufffd", 1491580705.97, ("err",), "c1")
    for line in (rfc5424, rfc3164, journal):
        assert FORMATS["auto"](line, times).tags[0] in ("notice", "crit", "err")
    assert FORMATS["auto"]("<no syslog", times) == Record("<no syslog")


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("rfc5424", "<34>Oct 11 22:14:15 mymachine su: x"),
        ("rfc5424", "<999>1 - - - - - -"),
        ("rfc3164", "no time"),
        ("journald", "{}"),
        ("journald", "[]"),
        ("journald", "x"),
        ("journald", '{"__REALTIME_TIMESTAMP":"' + "9" * 400 + '"}'),
        ("journald", '{"__REALTIME_TIMESTAMP":' + "[" * 100_000),
    ],
)
def test_lines_of_another_format_are_refused(name: str, line: str) -> None:
    with pytest.raises(InputError):
        FORMATS[name](line, LineTimes())


def test_unusual_fields_of_the_journal_are_read() -> None:
    line = '{"__REALTIME_TIMESTAMP":"1000000","PRIORITY":"12","MESSAGE":"a\\ud800"}'
    assert FORMATS["journald"](line, LineTimes()) == Record("a\ufffd", 1.0)


def test_the_time_of_a_line_does_not_depend_on_the_lines_before_it() -> None:
    lines = [*TIMES, "Dec 04 04:47:44 2005 x", "Dec 04 04:47:44.5 2005 x"]
    alone = [LineTimes(written=WRITTEN).read(line) for line in lines]
    assert alone[-2:] == [1133671664.0, 1133671664.5]
    for first in lines:
        times = LineTimes(written=WRITTEN)
        for line, expected in zip(lines, alone, strict=True):
            times.read(first)
            assert times.read(line) == expected


def test_times_outside_the_years_of_events_are_none() -> None:
    assert LineTimes(ZoneInfo("Europe/Berlin")).read("0001-01-01 00:00:00 x") is None
    assert LineTimes(ZoneInfo("America/New_York")).read("9999-12-31 23:59:59 x") is None


def test_times_are_read_as_people_write_them() -> None:
    now = datetime(2026, 11, 29, 8, 30, tzinfo=timezone.utc)
    today = datetime(2026, 11, 29, tzinfo=timezone.utc).timestamp()
    for text, expected in {
        "now": now.timestamp(),
        " Now": now.timestamp(),
        "today": today,
        "yesterday": today - 86_400,
        "2h ago": now.timestamp() - 7200,
        "1w ago": now.timestamp() - 604_800,
        "2026-11-29": today,
        "2026-11-29T01:00": today + 3600,
        "2026-11-29T01:00+01:00": today,
        "12.5": 12.5,
    }.items():
        assert parse_human_time(text, now) == expected
    with pytest.raises(ValueError, match="tomorrow"):
        parse_human_time("tomorrow", now)
