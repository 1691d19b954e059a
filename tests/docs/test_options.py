"""The operations page lists every option with its default, and every mode."""

from __future__ import annotations

import re

from docs.pages import DOCS
from feedstore.backends.sql.options import OPTIONS
from feedstore.backends.sql.schema import MODES, REVISIONS

NAMES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
OPERATIONS = (DOCS / "operations.md").read_text(encoding="utf-8")
UPGRADING = (DOCS / "upgrading.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `(\w+)` \| (\w+) \| (\S+) \| .+ \|$", re.MULTILINE)


def test_every_option_stands_in_the_table() -> None:
    expected = [
        (option.name, "both" if len(option.dialects) == 2 else NAMES[option.dialects[0]], str(option.default))
        for option in OPTIONS.values()
        if option.name != "namespace"
    ]
    assert ROW.findall(OPERATIONS) == expected


def test_every_mode_stands_in_the_table() -> None:
    for mode in MODES:
        assert f"| `{mode}` |" in OPERATIONS


def test_every_revision_stands_in_the_table() -> None:
    assert tuple(re.findall(r"^\| (\d{4}) \|", UPGRADING, re.MULTILINE)) == REVISIONS
