"""Tests that the README's output of the demo and its benchmark ratios are current."""

from __future__ import annotations

import doctest
import re
import subprocess
import sys
from pathlib import Path

import pytest

import soak
from docs.pages import DOCS, ROOT, blocks
from docs.running import OPTIONS
from ingest.real import FOLLOWS, first_rows

README = ROOT / "README.md"
DEMO = next(block.text for block in blocks(README) if block.text.startswith("Follow graph"))
# A word with a digit in it: a count, a time, a key, an id.
FIGURE = re.compile(r"\S*\d\S*")
HEADINGS = re.compile(r"^\| operation \| (?P<backends>\w+(?: \| \w+)+) \|$", re.MULTILINE)
OPERATION = re.compile(r"^\| (?P<operation>[^|]+) \| (?P<ratios>[\d.]+(?: \| [\d.]+)+) \|$", re.MULTILINE)


@pytest.mark.soak
def test_the_demo_prints_what_is_shown(tmp_path: Path) -> None:
    """The lines outside the tables on a part of the data, every line on the whole under ``make soak``."""
    options = [] if soak.SOAK else ["--activities", "part.csv", "--follows", str(FOLLOWS)]
    (tmp_path / "part.csv").write_text(first_rows(soak.count(3000, 1)), encoding="utf-8")
    options += ["--folder", "build/demo", "--seconds", "600"]
    command = [sys.executable, str(ROOT / "examples" / "demo.py"), *options]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600, check=True)
    printed = re.sub(r"^  .*feedstore ", "  .venv/bin/feedstore ", run.stdout, flags=re.MULTILINE)
    python = "PYTHONPATH=examples .venv/bin/python -m feedapp"
    printed = re.sub(r"PYTHONPATH=\S+ \S+ -m feedapp", python, printed)
    if soak.SOAK:
        assert doctest.OutputChecker().check_output(DEMO, printed, OPTIONS), printed
    assert [line for line in shapes(DEMO) if line not in shapes(printed)] == []


def shapes(text: str) -> list[str]:
    """The lines of the demo that are not a row of a table, with every figure as ``…``."""
    lines = (line.replace("...", "0") for line in text.splitlines() if line != "...")
    return [FIGURE.sub("…", line) for line in lines if not re.match(r"\d{4}-|time ", line)]


def test_the_ratios_are_those_of_the_benchmarks() -> None:
    page = (DOCS / "benchmarks.md").read_text(encoding="utf-8")
    rows = list(OPERATION.finditer(README.read_text(encoding="utf-8")))
    assert len(rows) > 5
    measured = re.findall(r"^## (\w+), against", page, re.MULTILINE)
    columns = next(HEADINGS.finditer(README.read_text(encoding="utf-8")))["backends"].split(" | ")
    assert [name.lower() for name in columns] == [name.lower() for name in measured[: len(columns)]]
    for row in rows:
        published = re.findall(rf"^\| {re.escape(row['operation'])} \|.*?\| \*\*([\d.]+)\*\* \|", page, re.MULTILINE)
        assert row["ratios"].split(" | ") == published[: len(columns)], row["operation"]
