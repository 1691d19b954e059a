"""The length of SQLite's write-ahead log."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from feedstore import connect
from feedstore.backends.sql.sqlite import engine
from feedstore.storage import TimelineStorage
from feedstore.testing.processes import CHILD_SECONDS, Child

MEGABYTE = 2**20
KEYS = [f"key{number}" for number in range(300)]


@pytest.fixture(autouse=True)
def short_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the log be too long at one megabyte, and with as much more after a checkpoint that could not empty it."""
    monkeypatch.setattr(engine, "LONGEST_LOG_BYTES", MEGABYTE)
    monkeypatch.setattr(engine, "_MORE_BYTES", MEGABYTE)
    monkeypatch.setattr(engine, "_WRITES_PER_CHECK", 1)


@contextmanager
def _reading(timelines: TimelineStorage, count: int) -> Iterator[None]:
    """Let threads read without a gap."""
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            timelines.get_many_slices(KEYS[:20], 0, None)

    threads = [threading.Thread(target=read) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _longest_log(path: Path, timelines: TimelineStorage, ids: range) -> int:
    sizes = []
    for number in ids:
        timelines.add_to_many(KEYS, [number], max_length=60)
        sizes.append(os.path.getsize(f"{path}-wal"))
    return max(sizes)


@pytest.mark.parametrize("readers", ["threads", "process"])
def test_the_log_stays_short_while_reads_overlap(tmp_path: Path, readers: str) -> None:
    """SQLite's own checkpoints, at 16 megabytes, wait for a moment without a read."""
    path = tmp_path / "feeds.db"
    with connect(f"sqlite:///{path}") as backend, ExitStack() as running:
        timelines = backend.timeline_storage()
        timelines.add_to_many(KEYS, range(50))
        if readers == "threads":
            running.enter_context(_reading(timelines, 3))
        else:
            _read_in_child(running, str(path))
        assert _longest_log(path, timelines, range(1000, 1040)) < 8 * MEGABYTE


def _read_in_child(running: ExitStack, path: str) -> None:
    ready, from_child = os.pipe()
    to_child, end = os.pipe()

    def child() -> int:
        os.close(end)
        with connect(f"sqlite:///{path}") as backend, _reading(backend.timeline_storage(), 3):
            os.write(from_child, b"x")
            return len(os.read(to_child, 1))

    process = Child(child)
    running.callback(process.result, CHILD_SECONDS)
    running.callback(os.close, end)
    os.read(ready, 1)
    for one in (ready, from_child, to_child):
        running.callback(os.close, one)


def test_writes_go_on_while_one_read_keeps_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log is tried again only once it has grown, and emptied by a write after the read has ended."""
    monkeypatch.setattr(engine, "_LONGEST_WAIT_MILLISECONDS", 10)
    path = tmp_path / "feeds.db"
    with connect(f"sqlite:///{path}") as backend:
        timelines = backend.timeline_storage()
        timelines.add_to_many(KEYS, range(50))
        with closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            assert reader.execute("SELECT count(*) FROM feedstore_timeline").fetchone() == (len(KEYS),)
            assert _longest_log(path, timelines, range(1000, 1004)) > MEGABYTE
        _longest_log(path, timelines, range(1004, 1012))
        assert os.path.getsize(f"{path}-wal") <= MEGABYTE
        assert timelines.count("key0") == 60
