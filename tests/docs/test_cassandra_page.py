"""The page on Cassandra lists every option with its default, and the limits that the code has."""

from __future__ import annotations

import re

from docs.pages import DOCS
from feedstore.backends.cassandra.memory import FAN_OUT_EXCESS, LIMIT
from feedstore.backends.cassandra.options import OPTIONS
from feedstore.backends.cassandra.tables import TABLES

PAGE = (DOCS / "cassandra.md").read_text(encoding="utf-8")
OPTION = re.compile(r"^\| `(\w+)` \| (\S+) \| .+ \|$", re.MULTILINE)


def test_every_option_stands_in_the_table() -> None:
    section = PAGE.partition("\n## Options\n")[2].partition("\n## ")[0]
    expected = [(option.name, str(option.default)) for option in OPTIONS.values() if option.name != "namespace"]
    assert OPTION.findall(section) == expected


def test_every_table_stands_in_the_table() -> None:
    assert re.findall(r"^\| `(feedstore_\w+)` \|", PAGE, re.MULTILINE) == [table.name for table in TABLES]


def test_the_limits_are_those_of_the_code() -> None:
    assert LIMIT == 1_000_000
    assert "One million entries is the limit" in PAGE
    assert f"at most {FAN_OUT_EXCESS:,} for each process" in PAGE
