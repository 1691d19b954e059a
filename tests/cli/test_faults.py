"""An ingestion whose store fails: one error, a summary of the stored rows, and a run that resumes."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from cli.running import CommandLine, Result, run_process
from feedstore import connect
from ingest.deeds import activities_csv, follows_csv
from ingest.stored import Stored, stored_in

ROWS = 2000
COMMAND = ("ingest", "activities.csv", "--follows", "follows.csv", "--chunk-size", "100", "--max-length", "50")
FILES_END_AT = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))"


@pytest.fixture
def database(folder: Path) -> Path:
    """Where FEEDSTORE_URL will make a database, beside an input of a few thousand deliveries."""
    (folder / "activities.csv").write_text(activities_csv(ROWS))
    (folder / "follows.csv").write_text(follows_csv())
    return folder / "feeds.db"


def state_of(path: Path) -> Stored:
    with connect(f"sqlite:///{path}") as backend:
        return stored_in(backend)


def undisturbed(feedstore: CommandLine) -> Stored:
    assert feedstore(*COMMAND, "--store", "sqlite:///undisturbed.db").status == 0
    return state_of(Path("undisturbed.db"))


def assert_failed(result: Result, reason: str) -> None:
    assert result.status == 1
    assert result.err.startswith("feedstore: error: ")
    assert result.err.count("\n") == 1
    assert reason in result.err


def test_a_file_that_cannot_grow(feedstore: CommandLine, database: Path) -> None:
    failed = run_process(*COMMAND, "--json", setup=FILES_END_AT)
    assert_failed(failed, "feeds.db: ")
    report = failed.json
    assert 0 < report["rows"] < ROWS
    assert report["rows"] % 100 == 0
    assert "feeds.db" in report["error"]
    assert len(state_of(database).activities) == report["activities"] == report["rows"]
    resumed = feedstore(*COMMAND, "--resume", "--json").json
    assert (resumed["resumed_rows"], resumed["rows"]) == (report["rows"], ROWS - report["rows"])
    assert state_of(database) == undisturbed(feedstore)


def test_what_was_stored_before_a_failure_is_told_to_people(database: Path) -> None:
    failed = run_process(*COMMAND, setup=FILES_END_AT)
    assert_failed(failed, "feeds.db: ")
    assert failed.out.startswith("done before the error:\nrows        ")
    assert failed.out.endswith("run the same command with --resume to go on\n")


def test_a_locked_database(feedstore: CommandLine, database: Path) -> None:
    assert feedstore("db", "upgrade").status == 0
    url = f"sqlite:///{database}?busy_timeout=0.1"
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        failed = feedstore(*COMMAND, "--store", url)
        assert_failed(failed, "kept it locked")
        # The follows come before the activities, and some may have been stored.
        assert failed.out == "no activity was stored\n"
        assert "kept it locked" in feedstore(*COMMAND, "--store", url, "--json").json["error"]
    assert feedstore(*COMMAND, "--resume").status == 0
    assert state_of(database) == undisturbed(feedstore)


def test_a_file_that_is_no_database(feedstore: CommandLine, database: Path) -> None:
    database.write_bytes(b"no database at all" * 1000)
    assert_failed(feedstore(*COMMAND), "not a SQLite database")
    assert database.read_bytes() == b"no database at all" * 1000


def test_a_database_of_another_program(feedstore: CommandLine, database: Path) -> None:
    with closing(sqlite3.connect(database)) as other:
        other.execute("CREATE TABLE feedstore_timeline (colour TEXT)")
        other.commit()
    assert_failed(feedstore(*COMMAND), "feeds.db")
    with closing(sqlite3.connect(database)) as other:
        assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("feedstore_timeline",)]


def test_a_database_of_a_newer_release(feedstore: CommandLine, database: Path) -> None:
    assert feedstore("db", "upgrade").status == 0
    with closing(sqlite3.connect(database)) as other:
        other.execute("UPDATE feedstore_alembic_version SET version_num = '9999'")
        other.commit()
    assert_failed(feedstore(*COMMAND), "newer")


def test_a_folder_that_is_missing(feedstore: CommandLine, database: Path) -> None:
    assert_failed(feedstore(*COMMAND, "--store", "sqlite:///missing/feeds.db"), "missing")
