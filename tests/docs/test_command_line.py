"""The command line's page lists every command, every option and every exit status."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator

import pytest

from docs.pages import DOCS
from feedstore.cli.main import COMMANDS, new_parser
from feedstore.cli.status import TABLE

PAGE = (DOCS / "command-line.md").read_text(encoding="utf-8")
# Said once, above all commands.
COMMON = {"--help", "--store", "--namespace", "--json"}


def sub_commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """{name: parser} of the commands that a parser knows."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def options(parser: argparse.ArgumentParser) -> Iterator[str]:
    """The long options of a command and of the commands below it."""
    for action in parser._actions:
        yield from (option for option in action.option_strings if option.startswith("--"))
    for command in sub_commands(parser).values():
        yield from options(command)


def section(name: str) -> str:
    """The part of the page about one command."""
    _, _, text = PAGE.partition(f"\n## feedstore {name}\n")
    return text.partition("\n## ")[0]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_s_options_stand_in_its_section(name: str) -> None:
    text = section(name)
    known = set(options(sub_commands(new_parser([name]))[name])) - COMMON
    assert {option for option in known if f"`{option}" not in text} == set()
    assert set(re.findall(r"`(--[\w-]+)", text)) <= known | COMMON


def test_the_common_options_stand_above() -> None:
    head = PAGE.partition("\n## ")[0]
    assert all(f"`{option}" in head for option in COMMON - {"--help"})


def test_every_exit_status_stands_in_the_table() -> None:
    known = re.findall(r"^ *(\d+) ", TABLE, re.MULTILINE)
    assert re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE) == known
