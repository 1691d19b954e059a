"""Following files over restarts and kills of the watcher."""

from __future__ import annotations

import io
import os
import signal
from pathlib import Path

import pytest

from feedstore.events import BackendEventStore, connect_events
from feedstore.logs import LogOptions, LogReader, LogWatcher
from feedstore.logs.tail import DRAIN_SECONDS
from logs.growing import Clock, Watch, append, lines, numbers
from polling import poll_until


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


@pytest.mark.parametrize("with_first", [True, False])
def test_a_restart_reads_every_file_that_was_rotated(
    store: BackendEventStore, watch: Watch, tmp_path: Path, with_first: bool
) -> None:
    path = tmp_path / "a[1].log"
    path.write_text(lines(1))
    watch(path, from_start=True).poll()
    for number in (2, 3, 4):
        append(path, lines(number))
        for old in (2, 1):
            if (tmp_path / f"a[1].log.{old}").exists():
                (tmp_path / f"a[1].log.{old}").rename(tmp_path / f"a[1].log.{old + 1}")
        path.rename(tmp_path / "a[1].log.1")
    append(path, lines(5))
    if not with_first:
        # A rotation may have compressed it.
        (tmp_path / "a[1].log.3").unlink()
    watch(path).poll()
    assert numbers(store) == ([1, 2, 3, 4, 5] if with_first else [1, 3, 4, 5])


def test_a_restart_reads_a_file_that_was_created_and_rotated_since(
    store: BackendEventStore, watch: Watch, clock: Clock, tmp_path: Path
) -> None:
    path = tmp_path / "a.log"
    path.write_text(lines(1))
    following = watch(path, from_start=True)
    following.poll()
    path.rename(tmp_path / "a.log.1")
    for _ in range(2):
        following.poll()
        clock.now += DRAIN_SECONDS
    # No file is open, and the next one is created and rotated before the restart.
    (tmp_path / "a.log.1").rename(tmp_path / "a.log.2")
    (tmp_path / "a.log.1").write_text(lines(2))
    append(path, lines(3))
    watch(path).poll()
    assert numbers(store) == [1, 2, 3]
    assert store.count() == 3


def test_a_restart_reads_the_copy_of_a_truncated_file(store: BackendEventStore, watch: Watch, tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text(lines(1))
    watch(path, from_start=True).poll()
    append(path, lines(2))
    (tmp_path / "a.log.1").write_text(path.read_text())
    path.write_text(lines(3, 4, 5))
    watch(path).poll()
    assert numbers(store) == [1, 2, 3, 4, 5]
    assert store.count() == 5


def test_a_restart_reads_the_files_that_were_created_since(
    store: BackendEventStore, watch: Watch, tmp_path: Path
) -> None:
    (tmp_path / "a.log").write_text(lines(1))
    watch(tmp_path).poll()
    (tmp_path / "b.log").write_text(lines(2))
    # This file has the size of the first one, and perhaps its inode.
    (tmp_path / "a.log").unlink()
    (tmp_path / "a.log").write_text(lines(3))
    watch(tmp_path).poll()
    assert numbers(store) == [2, 3]


@pytest.mark.parametrize("is_known", [False, True])
def test_a_file_that_is_created_after_a_watcher_is_killed_is_read_from_its_start(
    store: BackendEventStore, watch: Watch, tmp_path: Path, is_known: bool
) -> None:
    path = tmp_path / "a.log"
    killed = watch(path)
    if is_known:
        append(path, lines(1))
        # The events are stored, and their position is not.
        killed._store.save_many(LogReader(str(path), LogOptions()).read(io.BytesIO(path.read_bytes())))
    append(path, lines(2))
    watch(path).poll()
    assert numbers(store) == ([1, 2] if is_known else [2])
    assert store.count() == len(numbers(store))


def test_no_line_is_lost_or_doubled_when_the_watcher_is_killed(tmp_path: Path) -> None:
    path, url = tmp_path / "a.log", f"sqlite:///{tmp_path}/events.db"

    def follow(opened: BackendEventStore, path: Path) -> LogWatcher:
        return LogWatcher(opened, [str(path)], LogOptions(), from_start=True)

    for turn in range(4):
        process = os.fork()
        if process == 0:
            try:
                with connect_events(url) as child, follow(child, path) as following:
                    while True:
                        following.poll()
            finally:
                os._exit(1)
        try:
            with connect_events(url) as store:
                for number in range(turn * 50, turn * 50 + 50):
                    append(path, lines(number))
                    if turn == 2 and number == 125:
                        path.rename(tmp_path / "a.log.1")
                poll_until(lambda: store.count() > turn * 50 + 10, 20, "some lines")  # noqa: B023
        finally:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
    with connect_events(url) as store, follow(store, path) as following:
        following.poll()
        assert sorted(numbers(store)) == list(range(200))
