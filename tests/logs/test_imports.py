"""Imports of log files that continue where an earlier one stopped."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from feedstore.errors import EventWriteException, InputError
from feedstore.events import BackendEventStore, Event, connect_events
from feedstore.events.pattern import compile_pattern
from feedstore.logs import FORMATS, LogOptions, dump_event, import_logs, import_theia, loader

LINES = [f"2026-11-29 08:00:{number:02} line {number}\n" if number % 3 else f"more {number}\n" for number in range(25)]


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Store the position after each ten events."""
    monkeypatch.setattr(loader, "_EVENTS_A_STEP", 10)


def written(path: Path, is_packed: bool) -> str:
    """Write the lines to a file, and return its path."""
    data = "".join(LINES).encode()
    path.write_bytes(gzip.compress(data) if is_packed else data)
    return str(path)


def fail_at(store: BackendEventStore, call: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the store fail at one call of save_many."""
    save_many, calls = store.save_many, iter(range(100))

    def save(events: Iterable[Event]) -> int:
        if next(calls) == call:
            raise EventWriteException("the disk is full")
        return save_many(events)

    monkeypatch.setattr(store, "save_many", save)


@pytest.mark.parametrize("is_packed", [False, True])
def test_a_log_file_continues_after_the_saved_events(
    tmp_path: Path, is_packed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "app.log", is_packed)
    with connect_events("memory://") as store, connect_events("memory://") as other:
        with monkeypatch.context() as patch:
            fail_at(store, 1, patch)
            with pytest.raises(EventWriteException):
                import_logs(store, [path], LogOptions())
        report = import_logs(store, [path], LogOptions(), resume=True)
        assert (report.events, report.continued) == (15, 1)
        import_logs(other, [path], LogOptions())
        # The lines without a time have the same times as after an import in one run.
        assert list(store.search(0)) == list(other.search(0))
        assert import_logs(store, [path], LogOptions(), resume=True).events == 0
        with open(path, "ab") as file:
            line = b"2026-11-29 09:00:00 appended\n"
            file.write(gzip.compress(line) if is_packed else line)
        assert import_logs(store, [path], LogOptions(), resume=True).events == 1


@pytest.mark.parametrize("as_theia", [False, True])
def test_few_long_events_are_in_memory_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, as_theia: bool
) -> None:
    monkeypatch.setattr(loader, "_CHARACTERS_A_STEP", 1000)
    path = tmp_path / "app.log"
    events = [Event(str(number), "s", number, (), f"2026-11-29 {number:02} " + "x" * 386) for number in range(8)]
    path.write_bytes(b"".join((dump_event(each) if as_theia else each.content.encode()) + b"\n" for each in events))
    saved: list[int] = []
    with connect_events("memory://") as store:
        save_many = store.save_many

        def save(given: Iterable[Event]) -> int:
            saved.append(save_many(given))
            return saved[-1]

        monkeypatch.setattr(store, "save_many", save)
        report = import_theia(store, [str(path)]) if as_theia else import_logs(store, [str(path)], LogOptions())
        assert (saved, report.events, store.count()) == ([3, 3, 2], 8, 8)


@pytest.mark.parametrize("start", [None, "^2026"])
def test_a_line_without_its_end_is_read_again(tmp_path: Path, start: str | None) -> None:
    path = tmp_path / "app.log"
    options = LogOptions(block_start=None if start is None else compile_pattern(start))
    written, contents = "", []
    with connect_events("memory://") as store:
        for part in ("2026-11-29 disk", " full\n", "2026-11-30 sto", "pped\n", "2026-12-01 end"):
            written += part
            path.write_text(written)
            assert import_logs(store, [str(path)], options, resume=True).events == 1
            contents.append(written.rstrip("\n").rpartition("\n")[2])
            assert [event.content for event in store.search(0)].count(contents[-1]) == 1
        assert sorted(event.content for event in store.search(0)) == sorted(contents)
        # The rest of a block belongs to its event, too.
        path.write_text(f"{written}\n  at line 7")
        import_logs(store, [str(path)], options, resume=True)
        expected = "  at line 7" if start is None else "2026-12-01 end\n  at line 7"
        assert [event.content for event in store.search(0)].count(expected) == 1


def test_a_file_begins_again_after_other_options_or_other_bytes(tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    written(path, False)
    with connect_events("memory://") as store:

        def resumed(**changed: Any) -> int:
            return import_logs(store, [str(path)], LogOptions(**{"tags": ("a",), **changed}), resume=True).events

        assert resumed() == 25
        for other in ({"tags": ("b",)}, {"source": "s"}, {"format": FORMATS["plain"]}, {"encoding": "latin-1"}):
            assert (resumed(**other), resumed(**other)) == (25, 0)
        assert (resumed(), resumed()) == (25, 0)
        assert import_logs(store, [str(path)], LogOptions(tags=("a",))).events == 25
        path.write_text("".join(LINES[:5]))
        assert resumed() == 5
        path.write_text("".join(LINES[1:]))
        assert resumed() == 24


def test_a_data_file_of_theia_continues_after_damage(tmp_path: Path) -> None:
    path = tmp_path / "10-70"
    events = [Event(str(number), "s", number, (), "x" * number) for number in range(15)]
    data = [dump_event(event) + b"\n" for event in events]
    path.write_bytes(b"".join(data[:14]) + data[14][:20])
    with connect_events("memory://") as store:
        with pytest.raises(InputError, match=f"at byte {len(b''.join(data[:14]))}"):
            import_theia(store, [str(path)])
        assert store.count() == 14
        path.write_bytes(b"".join(data))
        report = import_theia(store, [str(path)], resume=True)
        assert (report.events, report.continued) == (1, 1)
        assert list(store.search(0)) == events
