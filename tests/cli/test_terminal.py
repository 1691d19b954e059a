"""The output on a terminal of 80 columns, with rich and without: no id and no other value is cut in two."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cli.running import CommandLine, run_in_terminal
from ingest.inputs import csv_text

HASH = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
NAMES = ("a-user-with-a-long-name", "comment", "photo:of-the-sea-at-dawn", "album:summer-2026")
WITHOUT_RICH = "import sys; sys.modules['rich'] = None"
COLUMNS = 80
_STYLES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")

with_and_without_rich = pytest.mark.parametrize("setup", ["import rich", WITHOUT_RICH], ids=["rich", "plain"])


@pytest.fixture
def ids(folder: Path, feedstore: CommandLine) -> list[str]:
    """The ids of the stored activities, newest first."""
    extra = f'{{"sha256":"{HASH}","size":[640,480],"alt":null}}'
    rows = [(n, f"2026-05-01T12:00:0{n}.123456Z", *NAMES, extra) for n in range(3)]
    (folder / "wide.csv").write_text(csv_text(rows))
    assert feedstore("ingest", "wide.csv").status == 0
    return feedstore("timeline", f"user:{NAMES[0]}", "--ids").out.split()


def lines_of(setup: str, *arguments: str) -> list[str]:
    """The lines that a command shows."""
    status, screen = run_in_terminal(*arguments, columns=COLUMNS, setup=setup)
    assert status == 0
    lines = [_STYLES.sub("", line).rstrip() for line in screen.splitlines()]
    assert max(map(len, lines)) <= COLUMNS
    return lines


@with_and_without_rich
def test_a_timeline_has_each_id_in_a_line_of_its_own(ids: list[str], setup: str) -> None:
    lines = lines_of(setup, "timeline", f"user:{NAMES[0]}")
    assert [line.strip() for line in lines if line.strip() in ids] == ids
    for name in NAMES:
        assert sum(name in line for line in lines) == 3


@with_and_without_rich
def test_an_activity_has_each_value_in_one_piece(ids: list[str], setup: str) -> None:
    lines = lines_of(setup, "activity", ids[0])
    for value in (ids[0], HASH, *NAMES):
        assert any(value in line for line in lines)
    shown = [line.split(maxsplit=1) for line in lines]
    assert ["extra_context.size", "[640, 480]"] in shown
    assert ["extra_context.alt", "null"] in shown


@with_and_without_rich
def test_statistics_have_each_key_and_path_in_one_piece(ids: list[str], folder: Path, setup: str) -> None:
    status, screen = run_in_terminal("stats", columns=COLUMNS, setup=setup)
    assert status == 0
    assert f"user:{NAMES[0]}" in screen
    assert str(folder / "wide.csv") in screen


def test_a_table_that_fits_is_drawn_by_rich(ids: list[str]) -> None:
    status, screen = run_in_terminal("timeline", f"user:{NAMES[0]}", columns=200, setup="import rich")
    assert status == 0
    assert "\u2500" in screen
    assert all(f" {activity_id}" in screen for activity_id in ids)
