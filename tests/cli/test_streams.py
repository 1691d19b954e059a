"""The commands with standard streams that are closed, full, or whose reader has gone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import soak
from cli.running import Result
from feedstore.cli.main import COMMANDS

USUAL = {
    "ingest": ["activities.csv"],
    "timeline": ["user:ann"],
    "activity": ["019de368-f600-7000-8752-c6a2eeb0710b"],
    "feed": ["show", "--help"],
    "events": ["stats", "--help"],
    "stats": [],
    "trim": ["home:bob", "--length", "800"],
    "worker": ["--help"],
    "jobs": ["--help"],
    "serve": ["--help"],
    "db": ["current"],
    "import": ["stream-framework", "--help"],
    "copy": ["sqlite:///feeds.db", "sqlite:///copy.db", "--progress", "none"],
    "export": ["exported.ndjson"],
    "retain": ["keep 800 entries of home:*", "--force"],
    "erase-person": ["zoe", "--role", "actor", "--force"],
    "pubsub": ["nodes"],
}


def third_of_commands(number: int) -> pytest.MarkDecorator:
    """Parametrize a test with every third command, and with all of them under ``make soak``.

    All commands reach their streams in one way, so each command meets one of three defective streams in the suite.
    """
    return pytest.mark.parametrize("command", COMMANDS if soak.SOAK else COMMANDS[number::3])


def run(redirections: str, *arguments: str) -> Result:
    """Run ``feedstore`` with a shell's redirections."""
    line = f'exec "$0" -m feedstore "$@" {redirections}'
    command = ["sh", "-c", line, sys.executable, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return Result(done.returncode, done.stdout, done.stderr)


@pytest.mark.soak
@third_of_commands(0)
def test_a_closed_output_is_as_the_null_device(filled: Path, command: str) -> None:
    assert run(">&-", command, *USUAL[command]) == Result(0, "", "")


@pytest.mark.soak
@third_of_commands(1)
def test_without_any_standard_stream_a_command_still_does_its_work(filled: Path, command: str) -> None:
    assert run("<&- >&- 2>&-", command, *USUAL[command]) == Result(0, "", "")


@pytest.mark.soak
@third_of_commands(2)
def test_an_output_that_is_full_is_one_error(filled: Path, command: str) -> None:
    result = run(">/dev/full", command, *USUAL[command])
    assert result == Result(1, "", "feedstore: error: standard output cannot be written to: No space left on device\n")


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full"])
@pytest.mark.parametrize(
    ("arguments", "status"), [(["timeline", "home:zoe"], 3), (["unknown"], 2), (["ingest", "missing.csv"], 1)]
)
def test_an_error_that_cannot_be_printed_keeps_its_status(
    filled: Path, redirection: str, arguments: list[str], status: int
) -> None:
    assert run(redirection, *arguments).status == status


def test_a_closed_input_is_called_closed(filled: Path) -> None:
    result = run("<&-", "ingest", "-")
    assert (result.status, result.out) == (1, "nothing was stored\n")
    assert result.err == ("feedstore: error: <stdin>: standard input is closed; name a file, or redirect one to it\n")


def test_no_file_takes_the_place_of_a_closed_stream(filled: Path) -> None:
    before = (filled / "activities.csv").read_bytes()
    assert run("<&- >&- 2>&-", "ingest", "activities.csv", "missing.csv").status == 1
    assert (filled / "activities.csv").read_bytes() == before
    assert run("", "stats", "--json").json["activities"]["count"] == 3


@pytest.fixture
def pipe_without_reader() -> Iterator[int]:
    """The writing end of a pipe that nothing reads."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


@pytest.mark.soak
@pytest.mark.parametrize(
    ("unbuffered", "arguments"),
    [
        ("", ["--help"]),
        ("1", ["trim", "--help"]),
        ("1", ["stats"]),
        ("", ["timeline", "home:bob", "--json"]),
        *soak.further(
            ("1", ["--help"]), ("", ["trim", "--help"]), ("", ["stats"]), ("1", ["timeline", "home:bob", "--json"])
        ),
    ],
)
def test_a_reader_that_has_gone_ends_a_command_quietly(
    filled: Path, pipe_without_reader: int, arguments: list[str], unbuffered: str
) -> None:
    command = [sys.executable, "-m", "feedstore", *arguments]
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    done = subprocess.run(
        command, stdout=pipe_without_reader, stderr=subprocess.PIPE, env=environment, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_reader_of_errors_that_has_gone_ends_a_command_quietly(filled: Path, pipe_without_reader: int) -> None:
    command = [sys.executable, "-m", "feedstore", "timeline", "home:zoe"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=pipe_without_reader, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (141, b"")
