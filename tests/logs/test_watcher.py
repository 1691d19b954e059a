"""Following files that grow, rotate and are truncated, over restarts."""

from __future__ import annotations

import gzip
import io
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import pytest

from feedstore.errors import InvalidValueError
from feedstore.events import BackendEventStore, connect_events
from feedstore.events.pattern import compile_pattern
from feedstore.logs import LogOptions, LogReader, LogWatcher, import_logs
from feedstore.logs.reader import MOST_BYTES
from polling import poll_until

LINE = "2026-11-29 08:00:{:02} line {}\n"


@pytest.fixture
def store() -> Iterator[BackendEventStore]:
    """An empty event store."""
    with connect_events("memory://") as store:
        yield store


def lines(*numbers: int) -> str:
    """Lines with a time, one for each number."""
    return "".join(LINE.format(number % 60, number) for number in numbers)


def append(path: Path, text: str) -> None:
    """Append to a file."""
    with open(path, "a", encoding="utf-8", newline="") as file:
        file.write(text)


def numbers(store: BackendEventStore) -> list[int]:
    """The numbers of the stored lines, in the order of their times."""
    return [int(event.content.rpartition(" ")[2]) for event in store.search(0)]


class Watch(Protocol):
    """Type of the fixture ``watch``."""

    def __call__(self, *paths: Path, **options: Any) -> LogWatcher:
        """Make a watcher."""


@pytest.fixture
def watch(store: BackendEventStore) -> Iterator[Watch]:
    """A callable that makes watchers, which the test polls."""
    with ExitStack() as opened:

        def watch(*paths: Path, **options: Any) -> LogWatcher:
            from_start = options.pop("from_start", False)
            made = LogWatcher(store, map(str, paths), LogOptions(**options), from_start=from_start)
            return opened.enter_context(made)

        yield watch


def test_an_existing_file_is_followed_from_its_end_and_a_new_one_from_its_start(
    store: BackendEventStore, watch: Watch, tmp_path: Path
) -> None:
    old, new = tmp_path / "old.log", tmp_path / "new.log"
    old.write_text(lines(1, 2))
    following = watch(old, new, tags=("t",), source="app")
    assert following.poll() == 0
    append(old, lines(3))
    append(new, lines(4) + "2026-11-29 08:00:05 line")
    assert following.poll() == 2
    append(new, " 5\n")
    assert following.poll() == 1
    assert numbers(store) == [3, 4, 5]
    assert {(event.source, event.tags) for event in store.search(0)} == {("app", ("t",))}


@pytest.mark.parametrize("with_rest", [False, True])
def test_a_rotated_file_is_read_to_its_end(
    store: BackendEventStore, watch: Watch, tmp_path: Path, with_rest: bool
) -> None:
    path = tmp_path / "a.log"
    following = watch(path)
    append(path, lines(1))
    following.poll()
    if with_rest:
        append(path, lines(2) + LINE.format(3, 3).rstrip())
    path.rename(tmp_path / "a.log.1")
    following.poll()
    append(path, lines(4))
    following.poll()
    append(path, lines(5))
    following.poll()
    assert numbers(store) == ([1, 2, 3, 4, 5] if with_rest else [1, 4, 5])


def test_a_truncated_file_is_read_from_its_start(store: BackendEventStore, watch: Watch, tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    following = watch(path)
    append(path, lines(1, 2))
    following.poll()
    os.truncate(path, 0)
    append(path, lines(3))
    following.poll()
    assert numbers(store) == [1, 2, 3]


@pytest.mark.parametrize("change", ["append", "rotate", "truncate"])
def test_a_restart_continues_where_the_last_one_ended(
    store: BackendEventStore, watch: Watch, tmp_path: Path, change: str
) -> None:
    path = tmp_path / "a.log"
    path.write_text(lines(1, 2))
    watch(path, from_start=True).poll()
    if change == "append":
        append(path, lines(3))
    elif change == "rotate":
        append(path, lines(3))
        path.rename(tmp_path / "a.log.1")
        append(path, lines(4))
    else:
        path.write_text(lines(3))
    again = watch(path)
    again.poll()
    append(path, lines(9))
    again.poll()
    assert numbers(store) == ([1, 2, 3, 4, 9] if change == "rotate" else [1, 2, 3, 9])


def test_a_folder_is_followed_without_its_rotated_files(store: BackendEventStore, watch: Watch, tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text(lines(1))
    following = watch(tmp_path)
    append(tmp_path / "b.log", lines(2))
    append(tmp_path / "a.log.1", lines(8))
    (tmp_path / "a.log.2.gz").write_bytes(gzip.compress(lines(9).encode()))
    append(tmp_path / "a.log", lines(3))
    following.poll()
    assert numbers(store) == [2, 3]


def test_blocks_wait_for_the_next_one_or_for_idleness(store: BackendEventStore, watch: Watch, tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    following = watch(path, block_start=compile_pattern(r"^\d{4}-"))
    append(path, lines(1) + "  at a.b\n  at 2\n" + lines(2) + "  at c")
    assert following.poll() == 1
    append(path, " 7\n")
    assert following.poll() == 0
    assert following.poll(is_idle=True) == 1
    assert [event.content.count("\n") for event in store.search(0)] == [2, 1]
    assert numbers(store) == [2, 7]


def test_a_running_watcher_is_woken_and_stopped(store: BackendEventStore, watch: Watch, tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    following = watch(path)
    thread = threading.Thread(target=following.run)
    thread.start()
    append(path, lines(1))
    poll_until(lambda: numbers(store) == [1], 20, "the first line")
    append(path, lines(2))
    poll_until(lambda: numbers(store) == [1, 2], 20, "the second line")
    following.stop()
    thread.join(20)
    assert not thread.is_alive()


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


def test_lines_of_two_files_of_one_path_are_different_events(store: BackendEventStore, tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    for number in (1, 2):
        path.write_text("#header\n" + lines(number))
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
