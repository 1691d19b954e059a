"""The demo: its output is true, and the commands that it prints work."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from ingest.real import FOLLOWS, ROOT, first_rows
from live.visitor import Visitor


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the demo is run."""
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def printed(folder: Path) -> str:
    """The output of the demo for the first 1,000 rows, in its second run."""
    for rows in (50, 1000):
        (folder / "activities.csv").write_text(first_rows(rows))
        out = run_demo(folder)
    return out


def run_demo(folder: Path, follows: Path = FOLLOWS, *more: str) -> str:
    options = ["--activities", "activities.csv", "--follows", str(follows), "--folder", "demo", *more]
    command = [sys.executable, str(ROOT / "examples" / "demo.py"), *options]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout


def test_the_demo_shows_timelines_and_figures(printed: str) -> None:
    assert printed.startswith("Follow graph: 14,577 edges from 1,109 readers to 2,876 developers.\n")
    assert printed.count("time (UTC)") == 3
    assert "1,000 activities were stored and 8,335 deliveries made to " in printed
    assert " bytes for each, activities and follows included." in printed


def test_what_it_says_to_type_next_works(printed: str, folder: Path) -> None:
    outputs = [type_in(folder, command) for command in next_commands(printed)]
    assert len(outputs) == 4
    assert outputs[0].startswith("time (UTC)")
    assert len(json.loads(outputs[1])["items"]) == 3
    assert "1,000 activities" in outputs[2]


def test_the_application_that_it_names_shows_the_data(printed: str, folder: Path) -> None:
    found = re.search(r"sign in as (\S+):\n\n  PYTHONPATH=(\S+) (.*)\n", printed)
    assert found is not None
    name, path, command = found.groups()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([path, *sys.path])}
    options = [*shlex.split(command), "--port", "0"]
    with subprocess.Popen(options, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        visitor = Visitor(int(process.stdout.readline().rpartition(":")[2]), name)
        shown, profile = visitor.lines(), visitor.get(f"/profile?name={name}").body.decode()
        process.terminate()
    assert process.returncode == 0
    assert len(shown) == 20
    assert re.search(r"\d+ followers?, follows \d{2,}", profile)


def test_on_a_slow_machine_it_stops_and_names_the_command_for_the_rest(tmp_path: Path) -> None:
    (tmp_path / "activities.csv").write_text(first_rows(6000))
    # With all follows, most of the time would go into deliveries.
    (tmp_path / "follows.csv").write_text(first_rows(100, FOLLOWS))
    printed = run_demo(tmp_path, Path("follows.csv"), "--seconds", "0")
    assert "Stopped after " in printed
    assert "5,000 activities were stored" in printed
    ingested = type_in(tmp_path, next_commands(printed)[0])
    assert ingested.startswith("rows        1,000, after 5,000 that earlier runs stored\n")


def next_commands(printed: str) -> list[str]:
    commands, _, _ = printed.partition("Next commands:\n\n")[2].partition("\n\nA social application")
    return commands.splitlines()


def type_in(folder: Path, command: str) -> str:
    done = subprocess.run(shlex.split(command), cwd=folder, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout
