"""The commands with standard streams that are closed, full, or whose reader has gone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
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


def run(redirections: str, *arguments: str) -> Result:
    """Run ``feedstore`` with a shell's redirections."""
    line = f'exec "$0" -m feedstore "$@" {redirections}'
    command = ["sh", "-c", line, sys.executable, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return Result(done.returncode, done.stdout, done.stderr)


FORKS = """
import gc, json, os, runpy, sys
from feedstore.backends.sql import backend, schema
from feedstore.cli.main import new_parser

new_parser([])
# Otherwise each fork would copy all that is imported in the last collections of its interpreter.
gc.freeze()


def write_into(name, descriptor):
    opened = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(opened, descriptor)
    if opened != descriptor:
        os.close(opened)


captured, commands = json.loads(sys.argv[1])
statuses = []
for number, command in enumerate(commands):
    process = os.fork()
    if process == 0:
        for descriptor in captured:
            write_into(f"{number}-{descriptor}", descriptor)
        sys.argv[1:] = command
        runpy.run_module("feedstore", run_name="__main__", alter_sys=True)
    statuses.append(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]))
with open("statuses", "w") as file:
    json.dump(statuses, file)
"""


def run_all(redirections: str, *commands: Sequence[str], captured: Sequence[int] = ()) -> list[Result]:
    """Run each command in a process of its own with a shell's redirections.

    The processes are forks of one that has imported the modules of all commands: that takes longer than most commands
    do. Its interpreter began with the redirected streams, and each fork ends as an interpreter does. The results hold
    the output on the ``captured`` descriptors.
    """
    line = f'exec "$0" -c "$@" {redirections}'
    given = json.dumps([captured, commands])
    subprocess.run(["sh", "-c", line, sys.executable, FORKS, given], check=True, timeout=120)

    def printed(number: int, descriptor: int) -> str:
        return Path(f"{number}-{descriptor}").read_text() if descriptor in captured else ""

    statuses = json.loads(Path("statuses").read_text())
    return [Result(status, printed(number, 1), printed(number, 2)) for number, status in enumerate(statuses)]


def run_usual(redirections: str, captured: Sequence[int] = ()) -> dict[str, Result]:
    """Run each command as it is usually called."""
    results = run_all(redirections, *([name, *USUAL[name]] for name in COMMANDS), captured=captured)
    return dict(zip(COMMANDS, results, strict=True))


def test_a_closed_output_is_as_the_null_device(filled: Path) -> None:
    assert run_usual(">&-", captured=[2]) == dict.fromkeys(COMMANDS, Result(0, "", ""))


def test_without_any_standard_stream_a_command_still_does_its_work(filled: Path) -> None:
    assert run_usual("<&- >&- 2>&-") == dict.fromkeys(COMMANDS, Result(0, "", ""))


def test_an_output_that_is_full_is_one_error(filled: Path) -> None:
    error = "feedstore: error: standard output cannot be written to: No space left on device\n"
    assert run_usual(">/dev/full", captured=[2]) == dict.fromkeys(COMMANDS, Result(1, "", error))


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full"])
def test_an_error_that_cannot_be_printed_keeps_its_status(filled: Path, redirection: str) -> None:
    commands = (["timeline", "home:zoe"], ["unknown"], ["ingest", "missing.csv"])
    results = run_all(redirection, *commands, captured=[1])
    assert [result.status for result in results] == [3, 2, 1]


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
