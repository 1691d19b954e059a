"""Following files that grow, rotate and are truncated."""

from __future__ import annotations

import gzip
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

import pytest

from feedstore.errors import StorageUnavailableError
from feedstore.events import BackendEventStore
from feedstore.events.pattern import compile_pattern
from feedstore.logs import LineTimes, LogWatcher, Record
from feedstore.logs.tail import DRAIN_SECONDS, IDLE_SECONDS
from logs.growing import LINE, Clock, Watch, append, lines, numbers
from polling import poll_until


@contextmanager
def running(following: LogWatcher) -> Iterator[None]:
    """Run a watcher in a thread inside the block."""
    thread = threading.Thread(target=following.run)
    thread.start()
    try:
        yield
    finally:
        following.stop()
        thread.join(20)
    assert not thread.is_alive()


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
    store: BackendEventStore, watch: Watch, clock: Clock, tmp_path: Path, with_rest: bool
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
    clock.now += DRAIN_SECONDS
    following.poll()
    assert numbers(store) == ([1, 2, 3, 4, 5] if with_rest else [1, 4, 5])


@pytest.mark.parametrize("as_folder", [False, True])
@pytest.mark.parametrize("with_first", [False, True])
def test_files_that_were_created_and_rotated_between_two_polls_are_read(
    store: BackendEventStore, watch: Watch, clock: Clock, tmp_path: Path, as_folder: bool, with_first: bool
) -> None:
    path = tmp_path / "a.log"
    append(tmp_path / "a.log.1", lines(1))
    if with_first:
        append(path, "")
    watcher = watch(tmp_path if as_folder else path)
    watcher.poll()
    for number in (2, 3, 4):
        append(path, lines(number))
        if number < 4:
            for old in (3, 2, 1):
                if (tmp_path / f"a.log.{old}").exists():
                    (tmp_path / f"a.log.{old}").rename(tmp_path / f"a.log.{old + 1}")
            path.rename(tmp_path / "a.log.1")
    for _ in range(3):
        watcher.poll()
        clock.now += DRAIN_SECONDS
    assert numbers(store) == [2, 3, 4]
    append(path, lines(5))
    assert watcher.poll() == 1


def test_a_truncated_file_is_read_from_its_start(store: BackendEventStore, watch: Watch, tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    following = watch(path)
    append(path, lines(1, 2))
    following.poll()
    os.truncate(path, 0)
    append(path, lines(3))
    following.poll()
    assert numbers(store) == [1, 2, 3]


def test_a_folder_is_followed_without_its_rotated_files(store: BackendEventStore, watch: Watch, tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text(lines(1))
    following = watch(tmp_path)
    append(tmp_path / "b.log", lines(2))
    append(tmp_path / "a.log.1", lines(8))
    (tmp_path / "a.log.2.gz").write_bytes(gzip.compress(lines(9).encode()))
    append(tmp_path / "a.log", lines(3))
    following.poll()
    assert numbers(store) == [2, 3]


def test_blocks_wait_for_the_next_one_or_for_idleness(
    store: BackendEventStore, watch: Watch, clock: Clock, tmp_path: Path
) -> None:
    path = tmp_path / "a.log"
    following = watch(path, block_start=compile_pattern(r"^\d{4}-"))
    append(path, lines(1) + "  at a.b\n  at 2\n" + lines(2) + "  at c")
    assert following.poll() == 1
    append(path, " 7\n")
    assert following.poll() == 0
    clock.now += IDLE_SECONDS
    assert following.poll() == 1
    assert [event.content.count("\n") for event in store.search(0)] == [2, 1]
    assert numbers(store) == [2, 7]


def test_lines_that_the_writer_appends_after_a_rotation_are_read(
    store: BackendEventStore, watch: Watch, clock: Clock, tmp_path: Path
) -> None:
    path = tmp_path / "a.log"
    following = watch(path)
    with open(path, "a") as writer:
        for number in (1, 2):
            writer.write(lines(number))
            writer.flush()
            following.poll()
            if number == 1:
                path.rename(tmp_path / "a.log.1")
                append(path, lines(5))
                following.poll()
                clock.now += DRAIN_SECONDS - 1
        clock.now += DRAIN_SECONDS
        for number in (3, 4):
            # The pause may be longer than that in which an old file is closed, if the store fails.
            writer.write(lines(number))
            writer.flush()
            following.poll()
    path.rename(tmp_path / "a.log.2")
    following.poll()
    (tmp_path / "a.log.2").rename(path)
    append(path, lines(6))
    following.poll()
    assert numbers(store) == [1, 2, 3, 4, 5, 6]
    assert store.count() == 6


@pytest.mark.parametrize("rest", [lines(9), ""])
def test_a_file_that_is_written_again_keeps_its_waiting_block(
    store: BackendEventStore, watch: Watch, tmp_path: Path, rest: str
) -> None:
    path = tmp_path / "a.log"
    following = watch(path, block_start=compile_pattern(r"^\d{4}-"))
    append(path, lines(1))
    following.poll()
    append(path, lines(2))
    following.poll()
    # With the rest, the file is longer than before.
    path.write_text(lines(3, 4, 5) + rest)
    following.poll()
    append(path, lines(10))
    following.poll()
    assert numbers(store) == [1, 2, 3, 4, 5, *([9] if rest else [])]


def test_a_failed_save_is_repeated(store: BackendEventStore, watch: Watch, tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    failures = [StorageUnavailableError("first"), StorageUnavailableError("second")]

    def read(line: str, times: LineTimes) -> Record:
        if line.endswith("2") and failures:
            raise failures.pop(0)
        return Record(line, times.read(line))

    following = watch(path, format=read)
    append(path, lines(1, 2) + LINE.format(3, 3).rstrip())
    with pytest.raises(StorageUnavailableError, match="first"):
        following.poll()
    with running(following):
        poll_until(lambda: numbers(store) == [1, 2], 20, "the third attempt")
        append(path, "\n")
        poll_until(lambda: numbers(store) == [1, 2, 3], 20, "the rest of the line")
    assert not failures


@pytest.mark.parametrize("rotated", ["a.log.2026-11-29", "a.log.1", "a.log-20261129"])
def test_a_rotated_file_of_a_folder_is_not_read_twice(
    store: BackendEventStore, watch: Watch, clock: Clock, tmp_path: Path, rotated: str
) -> None:
    path = tmp_path / "a.log"
    following = watch(tmp_path)
    append(path, lines(1))
    (tmp_path / "node").mkdir()
    append(tmp_path / "node1", lines(2))
    following.poll()
    path.rename(tmp_path / rotated)
    for _ in range(3):
        following.poll()
        clock.now += DRAIN_SECONDS
    watch(tmp_path).poll()
    append(path, lines(3))
    following.poll()
    assert numbers(store) == [1, 2, 3]
    assert {Path(event.source).name for event in store.search(0)} == {"a.log", "node1"}
    assert store.count() == 3


def test_times_without_a_year_follow_the_growing_file(store: BackendEventStore, watch: Watch, tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    following = watch(path)
    for year in (2024, 2026):
        append(path, "Jan  5 08:00:00 host cron: x\n")
        written = datetime(year, 1, 5, 9, tzinfo=timezone.utc).timestamp()
        os.utime(path, (written, written))
        following.poll()
    assert [datetime.fromtimestamp(event.timestamp, timezone.utc).year for event in store.search(0)] == [2024, 2026]


def test_a_file_that_cannot_be_read_ends_no_watch(store: BackendEventStore, watch: Watch, tmp_path: Path) -> None:
    loop, path = tmp_path / "loop.log", tmp_path / "a.log"
    loop.symlink_to(loop)
    following = watch(loop, tmp_path / "absent" / "b.log", path)
    append(path, lines(1))
    assert following.poll() == 1
    loop.unlink()
    append(loop, lines(2))
    assert following.poll() == 1
    following.stop()
    following.run()


def test_a_file_that_is_gone_is_closed(watch: Watch, clock: Clock, tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    following = watch(tmp_path)
    append(tmp_path / "a.log", lines(1))
    following.poll()
    (tmp_path / "a.log").unlink()
    following.poll()
    clock.now += DRAIN_SECONDS
    following.poll()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_running_watcher_is_woken_and_stopped(store: BackendEventStore, watch: Watch, tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    with running(watch(path)):
        append(path, lines(1))
        poll_until(lambda: numbers(store) == [1], 20, "the first line")
        append(path, lines(2))
        poll_until(lambda: numbers(store) == [1, 2], 20, "the second line")
