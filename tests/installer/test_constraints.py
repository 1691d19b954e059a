"""constraints.txt: one exact version for each Python."""

from __future__ import annotations

import configparser
import re

import pytest

from constraints import lowest, pin_lines, requirements
from house import tree

MINORS = ["3.10", "3.11", "3.12"]


@pytest.mark.parametrize(
    ("versions", "lines"),
    [
        ({"3.10": "1", "3.11": "1", "3.12": "1"}, ["x==1"]),
        (
            {"3.10": "1", "3.11": "2", "3.12": "2"},
            ['x==1 ; python_version < "3.11"', 'x==2 ; python_version >= "3.11"'],
        ),
        ({"3.11": "1"}, ['x==1 ; python_version >= "3.11" and python_version < "3.12"']),
        ({"3.10": "1"}, ['x==1 ; python_version < "3.11"']),
    ],
)
def test_neighbouring_pythons_share_a_line(versions: dict[str, str], lines: list[str]) -> None:
    assert pin_lines("x", versions, MINORS) == lines


def test_every_requirement_is_pinned() -> None:
    pinned = set(re.findall(r"^([\w.-]+)==", (tree.ROOT / "constraints.txt").read_text().lower(), re.MULTILINE))
    required = {re.split(r"[\s\[<>=]", line.lower())[0] for line in requirements()}
    assert "sqlalchemy" in required
    assert required <= pinned


def test_every_range_has_a_lower_end() -> None:
    assert lowest(["rich >=13.7", "psycopg[binary] >=3.1.18"]) == ["rich ==13.7", "psycopg[binary] ==3.1.18"]
    assert [line for line in lowest(requirements()) if line.count("==") != 1] == []


def test_the_documentation_has_every_driver_that_its_pages_import() -> None:
    config = configparser.ConfigParser()
    config.read(tree.ROOT / "setup.cfg", encoding="utf-8")
    extras = "feedstore[redis,cassandra,sse,eric,celery,feeds,xmpp,statsd,prometheus,opentelemetry]"
    assert extras in config["options.extras_require"]["docs"].splitlines()
