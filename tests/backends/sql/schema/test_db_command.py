"""`feedstore db`, on databases in every state."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from backends.sql.schema import databases
from feedstore import connect
from feedstore.backends.sql.schema import HEAD
from feedstore.cli.main import main, new_parser
from feedstore.errors import (
    FeedstoreError,
    InvalidValueError,
    MissingSchemaError,
    NewerSchemaError,
    SchemaError,
    StorageError,
)

BELOW = "at 0001, below 0005: use `feedstore db upgrade`"
# Words of the command on a database of the newest revision, and a pattern of the error.
BEYOND = {
    "upgrade --revision 0009": "no revision '0009'; there are base, 0001, 0002, 0003, 0004, 0005, head",
    "upgrade --revision 0001": "at 0005, above 0001: use `feedstore db downgrade 0001`",
    "upgrade --revision +1": r"\+1 leads beyond base, 0001, 0002, 0003, 0004, 0005",
    "downgrade -6": "-6 leads beyond base, 0001, 0002, 0003, 0004, 0005",
    "downgrade base": "feedstore_item holds rows",
}


def run(*words: str) -> None:
    """Run the sub-command, which succeeds or raises."""
    given = ["db", *words]
    arguments = new_parser(given).parse_args(given)
    assert arguments.run(arguments) == 0


def answer(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    """Run the sub-command with ``--json`` and return its output."""
    run(*words, "--json")
    value: dict[str, Any] = json.loads(capsys.readouterr().out)
    return value


def test_up_and_down(database_url: str, engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    store = ("--store", database_url)
    run("current", *store)
    run("upgrade", *store, "--revision", "0001")
    run("upgrade", *store)
    run("upgrade", *store)
    run("history", *store)
    run("downgrade", "-1", *store)
    run("current", *store)
    run("downgrade", "base", *store)
    assert capsys.readouterr().out.splitlines() == [
        f"no revision (empty; this release needs {HEAD})",
        "upgraded from base to 0001",
        f"upgraded from 0001 to {HEAD}",
        f"already at {HEAD}",
        "  0001  Create the five tables.",
        "  0002  Give a timeline's header its length and the newest id that a trim dropped.",
        "  0003  Create the tables of queues and their messages.",
        "  0004  Leave room for updates in the pages of timelines' headers on PostgreSQL.",
        "* 0005  Create the tables of nodes, documents and subscriptions, and the full-text index.",
        f"downgraded from {HEAD} to 0004",
        f"0004 (older; this release needs {HEAD})",
        "downgraded from 0004 to base",
    ]
    assert list(databases.contents(engine)) == ["feedstore_alembic_version"]


def test_answers_for_programs_while_rows_survive_both_directions(
    database_url: str, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    databases.make_older(engine)
    before = databases.contents(engine)
    store = ("--store", database_url)
    assert answer(capsys, "current", *store) == {"revision": "0001", "state": "older", "newest": HEAD}
    assert answer(capsys, "upgrade", *store) == {"before": "0001", "after": HEAD, "backup": None}
    revisions = answer(capsys, "history", *store)["revisions"]
    assert [(entry["revision"], entry["current"]) for entry in revisions] == [
        ("0001", False),
        ("0002", False),
        ("0003", False),
        ("0004", False),
        (HEAD, True),
    ]
    assert answer(capsys, "downgrade", "0001", *store) == {"before": HEAD, "after": "0001", "backup": None}
    assert databases.contents(engine) == before


def test_a_newer_schema_is_shown_and_not_touched(
    database_url: str, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    databases.make_newer(engine)
    store = ("--store", database_url)
    assert answer(capsys, "current", *store) == {"revision": "9999", "state": "newer", "newest": HEAD}
    refused(engine, NewerSchemaError, "9999", "upgrade", *store)
    refused(engine, NewerSchemaError, "9999", "downgrade", "0001", *store)


def test_tables_of_something_else_are_not_touched(database_url: str, engine: Engine) -> None:
    databases.make_foreign(engine)
    refused(engine, SchemaError, "another program", "upgrade", "--store", database_url)


def test_a_revision_that_cannot_be_reached(database_url: str, engine: Engine, tmp_path: Path) -> None:
    databases.make_older(engine)
    refused(engine, InvalidValueError, BELOW, "downgrade", "head", "--store", database_url)
    databases.upgrade(engine)
    for words, message in BEYOND.items():
        refused(engine, InvalidValueError, message, *words.split(), "--store", database_url)
    (tmp_path / "taken").touch()
    copying = ("downgrade", "0001", "--backup", str(tmp_path / "taken"), "--store", database_url)
    refused(engine, StorageError, "exists already", *copying)


def test_a_downgrade_names_the_floors_that_it_forgets(
    database_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A page that was cut by a trim reads as complete afterwards. The copy still has the floors."""
    copy = tmp_path / "copy"
    with connect(database_url) as backend:
        timelines = backend.timeline_storage()
        timelines.add_to_many([f"feed:{number}" for number in range(7)], range(3), max_length=2)
        timelines.add("whole", 1)
    run("downgrade", "0002", "--store", database_url)
    assert capsys.readouterr().err == ""
    run("downgrade", "0001", "--backup", str(copy), "--store", database_url)
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [f"backed up to {copy}", "downgraded from 0002 to 0001"]
    assert "the floors of 7 timelines are forgotten (feed:0, feed:1, feed:2, feed:3, feed:4 and 2 more)" in printed.err
    assert copy.stat().st_size > 0
    if database_url.startswith("sqlite"):
        with connect(f"sqlite:///{copy}") as backend:
            assert backend.timeline_storage().get_page("feed:3", 5).floor == 1
    run("downgrade", "0001", "--backup", str(tmp_path / "none"), "--store", database_url)
    assert not (tmp_path / "none").exists()


def test_there_is_nothing_below_an_empty_database(database_url: str, engine: Engine) -> None:
    refused(engine, MissingSchemaError, "no tables of feedstore", "downgrade", "base", "--store", database_url)


@pytest.mark.parametrize("words", [["current"], ["history"], ["downgrade", "base"]])
@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_looking_makes_no_file(database_url: str, tmp_path: Path, words: list[str]) -> None:
    if words[0] == "downgrade":
        with pytest.raises(MissingSchemaError):
            run(*words, "--store", database_url)
    else:
        run(*words, "--store", database_url)
    assert list(tmp_path.iterdir()) == []


def test_the_environment_may_name_the_store(
    database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FEEDSTORE_URL", database_url)
    assert answer(capsys, "upgrade")["after"] == HEAD


def test_a_store_without_a_schema_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="the URL has no scheme of the SQL backend"):
        run("current", "--store", "memory://")


def test_a_server_that_cannot_be_reached_is_one_error_without_the_password() -> None:
    with pytest.raises(FeedstoreError) as caught:
        run("upgrade", "--store", "postgresql://user:secret@127.0.0.1:1/app")
    assert "secret" not in f"{caught.value!r} {caught.value.__cause__!r}"


def test_a_file_that_is_no_database_is_one_error(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("not a database at all, but long enough to be looked at as one" * 20)
    with pytest.raises(FeedstoreError, match="not a SQLite database"):
        run("upgrade", "--store", f"sqlite:///{file}")


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["downgrade", "base"], 1, "feedstore: error: the SQLite database"),
        (["upgrade", "--revision", "0009"], 2, "feedstore: error: there is no revision '0009'"),
        (["upgrade", "--revision", "zzz"], 2, "feedstore: error: there is no revision 'zzz'"),
    ],
)
@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_an_error_is_one_line_and_a_status(
    database_url: str, capsys: pytest.CaptureFixture[str], words: list[str], status: int, message: str
) -> None:
    assert main(["db", *words, "--store", database_url]) == status
    printed = capsys.readouterr()
    assert printed.out == ""
    [line] = printed.err.splitlines()
    assert line.startswith(message)
    assert "revision" not in message or line.endswith("head, and steps: +1 for a newer one, -1 for an older one")


def refused(engine: Engine, error: type[FeedstoreError], message: str, *words: str) -> None:
    """The sub-command raises that error and changes nothing."""
    before = databases.contents(engine)
    with pytest.raises(error, match=message):
        run(*words)
    assert databases.contents(engine) == before
