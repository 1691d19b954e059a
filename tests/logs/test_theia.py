"""theia's data files: real bytes of its format, read and written."""

from __future__ import annotations

import io
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from feedstore.compat.theia import import_theia_table, theia_database
from feedstore.errors import EventWriteException, InputError, InvalidValueError, StorageUnavailableError
from feedstore.events import Event, connect_events
from feedstore.logs import dump_event, import_theia, is_theia_file, read_theia

# Events, and the bytes that theia 0.9.2 writes for them.
KNOWN = {
    Event("event-1", "/source/1", 10, ["event", "test"], "event 1"): (
        b"event: 73 66 7\nid:event-1\ntimestamp: 10.0000000\nsource:/source/1\ntags:event,test\nevent 1\n"
    ),
    Event("i", "s", 1.5): b"event: 41 41 0\nid:i\ntimestamp: 1.5000000\nsource:s\ntags:\n\n",
    Event("ü", "/s", 1491580705.9789374, ["ä"], "☃"): (
        "event: 57 54 3\nid:ü\ntimestamp: 1491580705.9789374\nsource:/s\ntags:ä\n☃\n".encode()
    ),
    Event("C", "C:\\x:y", 1, [], "a\nb\nevent: 1 2 3\n"): (
        b"event: 63 46 17\nid:C\ntimestamp: 1.0000000\nsource:C:\\x:y\ntags:\na\nb\nevent: 1 2 3\n\n"
    ),
}
# The table that theia 0.9.2's SQL store makes.
TABLE = (
    "CREATE TABLE events (id VARCHAR NOT NULL, timestamp FLOAT, tags VARCHAR, source VARCHAR, content VARCHAR, "
    "custom_headers VARCHAR, PRIMARY KEY (id))"
)


@pytest.mark.parametrize("event", KNOWN, ids=lambda event: event.id)
def test_events_are_read_and_written_as_theia_does(event: Event) -> None:
    assert dump_event(event) == KNOWN[event]
    assert list(read_theia(io.BytesIO(KNOWN[event] + b"\n"))) == [event]


def test_a_file_of_several_events_is_read() -> None:
    assert list(read_theia(io.BytesIO(b"\n".join(KNOWN.values())))) == list(KNOWN)
    assert list(read_theia(io.BytesIO())) == []
    other = b"event: 38 38 0\nTAGS:a\nSource:s\nTimestamp: 1.0\nID:  i\n\n"
    assert list(read_theia(io.BytesIO(other.replace(b"38", str(len(other) - 16).encode())))) == [
        Event("  i", "s", 1, ["a"])
    ]


@pytest.mark.parametrize(
    "damaged",
    [
        b"foo\n",
        b"event: 1 2\n",
        b"event: 41 41 1\nid:i\n",
        KNOWN[Event("i", "s", 1.5)][:30],
        b"event: 7 7 0\nfoo:x\n\n\n",
        b"event: 5 5 0\nid:i\n\n",
        b"event: 4 4 0\nbad\n\n",
    ],
)
def test_damaged_files_are_refused(damaged: bytes) -> None:
    with pytest.raises(InputError, match="at byte 0"):
        list(read_theia(io.BytesIO(damaged), "10-70"))


def test_a_truncated_tail_keeps_the_events_before_it() -> None:
    whole, last = list(KNOWN)[:2]
    events = read_theia(io.BytesIO(KNOWN[whole] + b"\n" + KNOWN[last][:20]))
    assert next(events) == whole
    with pytest.raises(InputError, match=f"at byte {len(KNOWN[whole]) + 1}"):
        next(events)


@pytest.mark.parametrize(
    "event",
    [
        Event("a\nb", "s"),
        Event("a", "s "),
        Event("a", "s", 1, ["x,y"]),
        Event("a", "s", 1, ["x\r"]),
        Event("a", "s", 1e-9),
    ],
)
def test_events_that_the_format_cannot_carry_are_refused(event: Event) -> None:
    with pytest.raises(InvalidValueError, match="theia's format cannot carry"):
        dump_event(event)


def test_a_folder_of_data_files_is_imported(tmp_path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "10-70").write_bytes(b"\n".join(KNOWN.values()))
    (tmp_path / "notes").write_bytes(b"foo")
    paths = [str(path) for path in sorted(tmp_path.iterdir()) if is_theia_file(str(path))]
    with connect_events("memory://") as store:
        assert import_theia(store, paths, ("old",)).events == len(KNOWN)
        assert import_theia(store, paths, ("old",)).events == len(KNOWN)
        assert [event.id for event in store.search(0, flags=["old"])] == ["C", "i", "event-1", "ü"]
        assert store.flags() == ["event", "old", "test", "ä"]


def test_a_search_crosses_data_files_with_gaps_between_them(tmp_path: Path) -> None:
    """The ten events in three files of theia's own tests."""
    files = {"10-40": [10, 20, 30, 40], "50-80": [50, 60, 80], "100-120": [100, 110, 120]}
    number = 0
    for place, (name, times) in enumerate(files.items(), 1):
        events = []
        for time in times:
            number += 1
            tags = ["a", "b"] if number in (1, 3) else ["b"]
            events.append(Event(f"event-{number}", "s", time, tags, f"data file {place}, event-{number}"))
        (tmp_path / name).write_bytes(b"\n".join(map(dump_event, reversed(events))))
    with connect_events("memory://") as store:
        assert import_theia(store, [str(tmp_path / name) for name in files]).events == 10

        def found(*arguments: Any, **options: Any) -> list[int]:
            return [int(event.id.removeprefix("event-")) for event in store.search(*arguments, **options)]

        assert found(10) == [*range(1, 11)]
        assert found(30, 60) == [3, 4, 5, 6]
        assert found(10, flags=["a"]) == [1, 3]
        assert found(10, match="data file 3") == [8, 9, 10]
        assert found(10, match="event-(4|5|7|10)$") == [4, 5, 7, 10]
        assert (found(41, 49), found(80, 99), found(120), found(1, 10)) == ([], [7], [10], [1])


def new_table(path: Path, rows: list[tuple[Any, ...]]) -> Path:
    """Write a SQLite file of theia's SQL store, and return its path."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(TABLE)
        connection.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)", rows)
    assert theia_database(str(path)) == path
    return path


def row(event: Event, headers: str | None = None) -> tuple[Any, ...]:
    """The row of an event, as theia writes it."""
    return (event.id, event.timestamp, ",".join(event.tags), event.source, event.content, headers)


def test_a_table_is_imported(tmp_path: Path) -> None:
    # The name has characters that are special in a URL, and a byte that is no UTF-8.
    name = os.fsdecode(b"100%3F?of#theia\xff.db")
    database = new_table(tmp_path / name, [*map(row, KNOWN), ("bare", 7, None, None, None, None)])
    with connect_events("memory://") as store:
        report = import_theia_table(store, database, ("old",))
        assert (report.files, report.events, report.continued) == (1, 5, 0)
        assert store.get("bare") == Event("bare", "", 7, ["old"])
        for event in KNOWN:
            assert store.get(event.id) == Event(
                event.id, event.source, event.timestamp, [*event.tags, "old"], event.content
            )


def test_an_interrupted_import_of_a_table_continues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events = [Event(f"{number:05}", "s", number) for number in range(12_000)]
    database = new_table(tmp_path / "theia.db", list(map(row, events)))
    with connect_events("memory://") as store:
        with monkeypatch.context() as patch:
            patch.setattr(store, "save_many", _failing_after(store.save_many, 1))
            with pytest.raises(EventWriteException):
                import_theia_table(store, database)
        assert store.count() == 5000
        report = import_theia_table(store, database, resume=True)
        assert (report.events, report.continued, store.count()) == (7000, 1, 12_000)
        # After the end of an import the next one reads everything.
        assert import_theia_table(store, database, resume=True).events == 12_000


def _failing_after(save_many: Any, calls: int) -> Any:
    remaining = iter(range(calls))

    def save_or_fail(events: Any) -> int:
        if next(remaining, None) is None:
            raise EventWriteException("the disk is full")
        count: int = save_many(events)
        return count

    return save_or_fail


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (("x", None, "", "s", "", None), "'x' has no timestamp"),
        (("x", "soon", "", "s", "", None), "'x' cannot be stored"),
        (("", 1.0, "", "s", "", None), "'' cannot be stored"),
        (("x", 1.0, "", "s", b"\xff", None), "'x' cannot be stored"),
        (("x", 1.0, b"a,b", "s", "", None), "'x' cannot be stored"),
        (("x", 1.0, "", "s", "", "{}"), "'x' has custom_headers"),
    ],
)
def test_a_row_that_is_no_event_is_refused_after_the_rows_before_it(
    tmp_path: Path, bad: tuple[Any, ...], reason: str
) -> None:
    database = new_table(tmp_path / "theia.db", [row(Event(" ", "s", 1)), bad])
    with connect_events("memory://") as store:
        with pytest.raises(InputError, match=reason):
            import_theia_table(store, database)
        assert [event.id for event in store.search(0)] == ([] if bad[0] == "" else [" "])


def test_other_databases_are_refused(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "other.db")) as other, other:
        other.execute("CREATE TABLE events (id VARCHAR)")
    with connect_events("memory://") as store:
        for database, reason in (
            (f"sqlite:///{tmp_path / 'other.db'}", "no column 'timestamp'"),
            (f"sqlite:///{tmp_path / 'missing.db'}", "there is no such file"),
            ("nothing://", "cannot open nothing"),
            ("postgresql://host:port/theia", "a URL of a database is expected"),
        ):
            with pytest.raises(InvalidValueError, match=reason):
                import_theia_table(store, database)
        with pytest.raises(StorageUnavailableError, match=r"bob:\*\*\*@127.0.0.1:1/theia cannot be read") as raised:
            import_theia_table(store, "postgresql://bob:hush1@127.0.0.1:1/theia?password=hush2")
        assert "hush" not in str(raised.value)
    assert not (tmp_path / "missing.db").exists()
    assert theia_database(str(tmp_path / "missing.db")) is None
