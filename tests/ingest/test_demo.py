"""The demo: its output is true, and the commands that it prints work."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from ingest.real import FOLLOWS, ROOT, first_rows


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the demo is run."""
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def printed(folder: Path) -> str:
    """The output of the demo for the first 2,000 rows, in its second run."""
    (folder / "activities.csv").write_text(first_rows(2000))
    for _ in range(2):
        out = run_demo(folder)
    return out


def run_demo(folder: Path, *more: str) -> str:
    options = ["--activities", "activities.csv", "--follows", str(FOLLOWS), "--folder", "demo", *more]
    command = [sys.executable, str(ROOT / "examples" / "demo.py"), *options]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout


def test_the_demo_shows_timelines_and_figures(printed: str) -> None:
    assert printed.startswith("Follow graph: 14,577 edges from 1,109 readers to 2,876 developers.\n")
    assert printed.count("time (UTC)") == 3
    assert "2,000 activities were stored and 26,080 deliveries made to " in printed
    assert " bytes for each, the activities included." in printed


def test_what_it_says_to_type_next_works(printed: str, folder: Path) -> None:
    outputs = type_what_is_said(printed, folder)
    assert len(outputs) == 4
    assert outputs[0].startswith("time (UTC)")
    assert len(json.loads(outputs[1])["items"]) == 3
    assert "2,000 activities" in outputs[2]


def test_on_a_slow_machine_it_stops_and_names_the_command_for_the_rest(tmp_path: Path) -> None:
    (tmp_path / "activities.csv").write_text(first_rows(6000))
    printed = run_demo(tmp_path, "--seconds", "0")
    assert "Stopped after " in printed
    assert "5,000 activities were stored" in printed
    ingested, *_ = type_what_is_said(printed, tmp_path)
    assert ingested.startswith("rows        1,000, after 5,000 that earlier runs stored\n")


def type_what_is_said(printed: str, folder: Path) -> list[str]:
    _, _, commands = printed.partition("Next commands:\n\n")
    return [
        subprocess.run(shlex.split(command), cwd=folder, capture_output=True, text=True, timeout=60, check=True).stdout
        for command in commands.splitlines()
    ]
