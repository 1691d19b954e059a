"""Patterns that take Python's ``re`` exponential time."""

from __future__ import annotations

import subprocess
import sys

import pytest

from feedstore.events import Event, InvalidSearchError, connect_events
from feedstore.events.pattern import compile_pattern

# Each with a str on which a backtracking matcher takes exponential or cubic time.
DENIALS = (
    (r"^(a+)+$", "a" * 5000 + "!"),
    (r"^([a-zA-Z]+)*$", "a" * 5000 + "1"),
    (r"(a|aa)+$", "a" * 5000 + "!"),
    (r"^(a|a?)+$", "a" * 5000 + "!"),
    (r"(.*a){20}$", "a" * 500 + "!"),
    (r"^(([a-z])+.)+[A-Z]([a-z])+$", "a" * 5000),
    (r"(x+x+)+y", "x" * 5000),
    (r"^(\d+|\d+x)*$", "1" * 5000 + "?"),
    (r"((a{0,5}){0,5})*[c]", "a" * 5000),
    (r"\s+$", " " * 5000 + "x"),
    (r"^(.*?,){11}P", "1," * 2000),
)


def test_hostile_patterns_end() -> None:
    with connect_events("memory://") as store:
        for number, (pattern, text) in enumerate(DENIALS):
            store.save(Event(str(number), "s", number, content=text))
            assert list(store.search(number, number, match=pattern)) == []


@pytest.mark.parametrize(
    "pattern", [r"(a)\1", "(?=a)", "(?!a)", "(?<=a)b", "(?<!a)b", "(?>a)", "a++", "(?P<x>a)(?P=x)"]
)
def test_constructs_that_need_backtracking_are_refused_by_name(pattern: str) -> None:
    with pytest.raises(InvalidSearchError, match=r"RE2 does not support"):
        compile_pattern(pattern)


@pytest.mark.parametrize("pattern", ["(", "[", "a{1,2000}", "(((a{100}){100}){100})", "\\", "*", "\ud800"])
def test_other_errors_are_those_of_re2(pattern: str) -> None:
    with pytest.raises(InvalidSearchError, match="refused"):
        compile_pattern(pattern)


def test_without_google_re2_a_pattern_names_the_extra() -> None:
    program = (
        "import sys; sys.modules['re2'] = None\n"
        "from feedstore.events import *\n"
        "store = connect_events('memory://'); store.save(Event('1', 's', 1))\n"
        "print(len(list(store.search(0))))\n"
        "try: store.search(0, match='a')\n"
        "except ImportError as error: print(error)\n"
    )
    output = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert output.splitlines() == ["1", "patterns need google-re2; install feedstore[events]"]
