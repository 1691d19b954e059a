"""Reading the events of log files."""

from __future__ import annotations

import gzip
import io
import os
from pathlib import Path

import pytest

from feedstore.errors import InvalidValueError
from feedstore.events import BackendEventStore
from feedstore.events.layout import place_id_of
from feedstore.logs import LogOptions, LogReader, import_logs
from feedstore.logs.reader import MOST_BYTES


def test_imported_lines_keep_their_order_and_are_stored_once(store: BackendEventStore, tmp_path: Path) -> None:
    path, packed = tmp_path / "a.log", tmp_path / "b.log.gz"
    path.write_bytes(b"first\n\n" + b"2026-11-29 08:00:00 \xff same second\r\n" * 3 + b"no time\nlast")
    packed.write_bytes(gzip.compress(b"2026-11-29 07:00:00 packed\n"))
    for _ in range(2):
        report = import_logs(store, [str(path), str(packed)], LogOptions())
        assert (report.files, report.events, report.malformed) == (2, 7, 0)
    contents = [event.content for event in store.search(0) if event.content != "first"]
    assert contents == [
        "2026-11-29 07:00:00 packed",
        *["2026-11-29 08:00:00 \ufffd same second"] * 3,
        "no time",
        "last",
    ]
    assert import_logs(store, [str(path)], LogOptions(encoding="latin-1")).events == 6
    assert store.count(match="ÿ") == 3


def test_lines_near_each_other_in_a_file_have_places_near_each_other(store: BackendEventStore, tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).write_text("one\ntwo\nthree\n")
    import_logs(store, [str(tmp_path / name) for name in "ab"], LogOptions())
    ids = [event.id for event in store.search(0)]
    places = [place_id_of(own_id) for own_id in ids]
    assert len({place >> 96 for place in places}) == 2
    assert len({place >> 80 for place in places}) == len(set(places)) == 6


def test_lines_of_two_files_of_one_path_are_different_events(store: BackendEventStore, tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    for number in (1, 2):
        path.write_text(f"#header\n2026-11-29 08:00:00 line {number}\n")
        import_logs(store, [str(path)], LogOptions())
        import_logs(store, [os.path.relpath(path)], LogOptions())
    assert [event.content[-6:] for event in store.search(0) if event.content != "#header"] == ["line 1", "line 2"]
    assert store.count() == 3


def test_no_line_ends_an_import(store: BackendEventStore, tmp_path: Path) -> None:
    path = os.fsencode(tmp_path / "a") + b"\xff.log"
    times = ("1e20", "1" * 400, "100000000000000000000000000")
    with open(path, "wb") as file:
        file.writelines(b'{"__REALTIME_TIMESTAMP":"%s"}\n' % time.encode() for time in times)
        file.write(b'{"__REALTIME_TIMESTAMP":[' + b"[" * 100_000 + b"\nlast\n")
    report = import_logs(store, [os.fsdecode(path)], LogOptions())
    assert (report.events, report.malformed) == (5, 4)
    assert store.sources()[0].endswith("a\\xff.log")


def test_long_lines_become_the_same_events_however_they_are_read(tmp_path: Path) -> None:
    data = b"2026-11-29 " + b"x" * (5 * MOST_BYTES // 2) + b"\nlast\n"
    whole = list(LogReader("a.log", LogOptions()).read(io.BytesIO(data), final=True))
    growing, reader = io.BytesIO(), LogReader("a.log", LogOptions())
    parts = [data[start : start + 300_001] for start in range(0, len(data), 300_001)]
    found = [
        event for part in parts if growing.seek(0, 2) >= 0 and growing.write(part) for event in reader.read(growing)
    ]
    assert [event.id for event in found] == [event.id for event in whole]
    assert len(whole) == 4


def test_options_that_cannot_work_are_refused() -> None:
    for encoding in ("utf-16", "nonsense"):
        with pytest.raises(InvalidValueError, match=encoding):
            LogOptions(encoding=encoding)
