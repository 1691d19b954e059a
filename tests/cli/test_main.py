"""The command line as a whole: exit statuses, errors in one line, and no side effects."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from cli.running import CommandLine, run_process, start
from feedstore import __version__
from feedstore.cli.main import COMMANDS
from ingest.inputs import HEADER, csv_text

MORE = {
    "timeline": ["x"],
    "activity": ["0" * 32],
    "feed": ["show", "x"],
    "trim": ["--all", "--length", "1", "--yes"],
    "events": ["search"],
    "pubsub": ["nodes"],
    "copy": ["sqlite:///feeds.db", "memory://"],
    "export": ["activities.ndjson"],
    "retain": ["keep 1 days of activities", "--force"],
    "erase-person": ["bob", "--role", "actor", "--force"],
}
APPLICATION = """
from typing import Optional
from feedstore import connect
from feedstore.fanout import FeedManager, HomeFeed, QueueExecutor

log = open("calls.log", "w")


class Home(HomeFeed):
    def close(self):
        log.close()


# The module typing keeps the class.
Known = Optional[Home]


def manager():
    log.write("called\\n")
    backend = connect("memory://")
    return FeedManager(backend, executor=QueueExecutor(backend))
"""
THAT_CREATE = ("ingest", "import", "db", "jobs", "worker")


def test_help_names_every_command_and_every_status(feedstore: CommandLine) -> None:
    result = feedstore("--help")
    assert result.status == 0
    for word in (*COMMANDS, "FEEDSTORE_URL", "130", "141"):
        assert word in result.out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(feedstore: CommandLine, command: str) -> None:
    result = feedstore(command, "--help")
    assert result.status == 0
    assert f"usage: feedstore {command}" in result.out


def test_help_imports_no_driver() -> None:
    modules = modules_of_the_parser()
    assert {"feedstore.cli.ingest", "feedstore.pubsub"} <= modules
    assert {"sqlalchemy", "alembic", "rich", "feedstore.backends"}.isdisjoint(modules)


def test_a_command_does_not_import_the_others() -> None:
    modules = modules_of_the_parser("timeline", "feed:bob")
    assert "feedstore.cli.timeline" in modules
    assert {"feedstore.cli.ingest", "feedstore.pubsub", "feedstore.fanout"}.isdisjoint(modules)


def modules_of_the_parser(*arguments: str) -> set[str]:
    """Return the modules that a new process has imported once it has the parser of a command line."""
    check = f"import sys; from feedstore.cli.main import new_parser; new_parser({arguments!r}); print(*sys.modules)"
    return set(run_process("--version", setup=check).out.split())


def test_the_files_that_an_application_left_open_are_written(folder: Path) -> None:
    """By the last garbage collections of the interpreter: the command line excludes no objects from them."""
    (folder / "application.py").write_text(APPLICATION)
    assert run_process("jobs", "application:manager", "counts").status == 0
    assert (folder / "calls.log").read_text() == "called\n"


def test_the_version(feedstore: CommandLine) -> None:
    assert feedstore("--version").out == f"feedstore {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["unknown"],
        ["ingest"],
        ["ingest", "x.csv", "--on-error", "ignore"],
        ["ingest", "x.csv", "--max-length", "0"],
        ["ingest", "x.csv", "--max-length", "many"],
        ["ingest", "x.csv", "--max-future", "soon"],
        ["ingest", "x.csv", "--chunk-size", "-1"],
        ["ingest", "-", "-"],
        ["ingest", "-", "--follows", "-"],
        ["ingest", "x.csv", "--dry-run", "--resume"],
        ["timeline"],
        ["timeline", "x", "--limit", "0"],
        ["timeline", "x", "--cursor", "made-up"],
        ["timeline", ""],
        ["timeline", "x" * 1025],
        ["timeline", "x", "--namespace", "not allowed"],
        ["timeline", "x", "--store", ""],
        ["timeline", "x", "--namespace", ""],
        ["timeline", "x", "--cursor", ""],
        ["timeline", "x", "--store", "feeds.db"],
        ["timeline", "x", "--store", "mysql://localhost/x"],
        ["timeline", "x", "--store", "sqlite:///x.db?colour=red"],
        ["activity", "12"],
        ["trim", "home:bob"],
        ["trim", "--length", "1"],
        ["trim", "--all", "--length", "1"],
        ["trim", "home:bob", "--all", "--length", "1"],
        ["trim", "home:bob", "--length", "-1"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_status_2_and_one_error(feedstore: CommandLine, folder: Path, arguments: list[str]) -> None:
    result = feedstore(*arguments)
    assert (result.status, result.out) == (2, "")
    assert result.err.splitlines()[-1].startswith("feedstore")
    assert "error: " in result.err.splitlines()[-1]
    assert not (folder / "x.db").exists()


def test_a_store_must_be_named(feedstore: CommandLine, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FEEDSTORE_URL")
    result = feedstore("stats")
    assert result.status == 2
    assert result.err == (
        "feedstore: error: name the store: --store URL, such as sqlite:///feeds.db, or set FEEDSTORE_URL\n"
    )


def test_an_empty_store_option_is_never_the_variable_s_store(feedstore: CommandLine, filled: Path) -> None:
    for arguments in (["stats"], ["trim", "--all", "--length", "0", "--yes"], ["db", "current"]):
        result = feedstore(*arguments, "--store", "")
        assert (result.status, result.out) == (2, "")
        assert "--store is empty; pass a URL" in result.err
    assert feedstore("stats", "--json").json["activities"]["count"] == 3


def test_an_empty_variable_is_no_store(feedstore: CommandLine, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEEDSTORE_URL", "")
    assert "name the store" in feedstore("stats").err


def test_an_empty_name_of_a_file_is_a_missing_file(feedstore: CommandLine, folder: Path) -> None:
    for arguments in (["ingest", ""], ["ingest", "activities.csv", "--follows", ""]):
        result = feedstore(*arguments)
        assert result.status == 1
        assert "the file cannot be read: No such file or directory" in result.err
    assert not (folder / "feeds.db").exists()


def test_the_option_wins_over_the_variable(feedstore: CommandLine, filled: Path) -> None:
    other = f"sqlite:///{filled / 'other.db'}"
    assert feedstore("db", "upgrade", "--store", other).status == 0
    assert feedstore("stats", "--store", other, "--json").json["activities"]["count"] == 0


@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in THAT_CREATE])
def test_a_command_that_only_reads_makes_no_file(feedstore: CommandLine, folder: Path, command: str) -> None:
    result = feedstore(command, *MORE.get(command, []))
    assert (result.status, result.out) == (1, "")
    assert result.err.startswith("feedstore: error: the SQLite database ")
    assert "feeds.db' does not exist: check its path, or create it with `feedstore db upgrade" in result.err
    assert not (folder / "feeds.db").exists()


def test_an_older_schema_is_read_only_after_an_upgrade(feedstore: CommandLine, folder: Path) -> None:
    assert feedstore("db", "upgrade", "--revision", "0001").status == 0
    result = feedstore("stats")
    assert result.status == 1
    assert "is at revision 0001 and this release needs" in result.err
    assert feedstore("db", "current", "--json").json["revision"] == "0001"
    assert feedstore("stats", "--store", f"sqlite:///{folder / 'feeds.db'}?schema=migrate").status == 0


def test_the_module_is_the_command(filled: Path) -> None:
    result = run_process("timeline", "user:ann", "--ids")
    assert result.status == 0
    assert len(result.out.split()) == 2


@pytest.mark.parametrize("command", ["stats", "timeline", "activity", "trim"])
def test_a_store_that_fails_is_status_1_and_one_line(feedstore: CommandLine, folder: Path, command: str) -> None:
    (folder / "feeds.db").write_bytes(b"this is no database at all" * 100)
    result = feedstore(command, *MORE.get(command, []))
    assert (result.status, result.out) == (1, "")
    assert result.err.startswith("feedstore: error: ")
    assert result.err.count("\n") == 1
    assert "not a SQLite database" in result.err


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ann:hunter2@127.0.0.1:1/feeds?connect_timeout=2",
        "postgresql://127.0.0.1:1/feeds?user=ann&password=hunter2&connect_timeout=2",
        "mysql://ann:hunter2@localhost/feeds",
        "ann:hunter2@localhost",
        "postgresql://ann:hunter2@[::1/feeds",
        "postgresql://ann:hunter2@localhost:port/feeds",
    ],
)
def test_no_password_is_shown(feedstore: CommandLine, folder: Path, url: str) -> None:
    result = feedstore("stats", "--store", url)
    assert result.status in (1, 2)
    assert result.err.startswith("feedstore: error: ")
    assert "hunter2" not in result.out + result.err


def test_a_reader_that_goes_away_ends_the_writer_quietly(folder: Path, feedstore: CommandLine) -> None:
    rows = [(n, "2026-05-01T12:00:00Z", "ann", "like", f"photo:{n}" * 50, "", "") for n in range(500)]
    (folder / "many.csv").write_text(csv_text(rows))
    assert feedstore("ingest", "many.csv").status == 0
    with start("timeline", "user:ann", "--limit", "500") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        errors = process.stderr.read()
    assert (process.returncode, errors) == (141, "")


def test_an_interrupt_is_status_130_with_what_was_done(folder: Path) -> None:
    process = start("ingest", "-", "--chunk-size", "1", "--progress", "plain", setup=TELLING)
    assert process.stdin is not None
    assert process.stderr is not None
    process.stdin.write(HEADER + "1,2026-05-01T12:00:00Z,ann,like,photo:7,,\n")
    process.stdin.flush()
    assert process.stderr.readline() == "stored 1\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == "feedstore: error: interrupted\n"
    assert "rows        1\n" in out
    assert "--resume" in out


# A shell that starts the tests in the background has Ctrl-C ignored, and so would every process of theirs.
TELLING = """
import signal, sys
import feedstore.cli.progress
from feedstore.ingest import Progress
signal.signal(signal.SIGINT, signal.default_int_handler)
class Telling(Progress):
    def advance(self, source, summary):
        print("stored", summary.rows, file=sys.stderr, flush=True)
feedstore.cli.progress.new_progress = lambda choice, stream: Telling()
"""


def test_a_terminal_that_knows_no_unicode_gets_escapes(filled: Path) -> None:
    plain = {"PYTHONIOENCODING": "ascii", **{name: "C" for name in ("LC_ALL", "LANG") if name in os.environ}}
    result = run_process("timeline", "home:bob", "--json", environment=plain)
    assert result.status == 0
    assert result.out.isascii()
    assert result.json["items"][1]["extra_context"] == {"text": "naïve ☃"}


@pytest.mark.parametrize("option", [["--store", "sqlite:///x.db"], ["--store=sqlite:///x.db"], ["--json"]])
def test_an_option_before_the_command_is_named(feedstore: CommandLine, option: list[str]) -> None:
    result = feedstore(*option, "stats")
    assert result.status == 2
    name = option[0].partition("=")[0]
    assert result.err.endswith(f"feedstore: error: {name} follows the command, as in: feedstore stats {name}\n")
