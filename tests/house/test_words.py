"""Words that the project's files never use: names of the machine and of registries, and words of unclear English."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from house import prose, tree

# Written in parts, so that this file does not match its own patterns.
MACHINE_PATHS = re.compile(r"(?<![\w.$}-])/(?:work|root|home)/\w|\.py" + r"env\b")
REGISTRY_HOSTS = re.compile(
    r"py" + r"pi\.org|python" + r"hosted|maven" + r"\.(?:apache|org)|deb\.deb" + r"ian|npm" + r"js\.(?:org|com)",
    re.IGNORECASE,
)
# Each word with the reason why the prose of the project avoids it.
BANNED = {
    r"what|whatever": "name the thing: 'the value that the caller passed', not 'what was passed'",
    r"whom|whoever": "name the actor: the caller, the process, the reader",
    r"nobody|somebody|anybody|everybody": "name the actor: the caller, the process, the reader",
    r"anew": "write 'again'",
    r"tells?|told|telling": "write notify, return, or say which part decides",
    r"hears?|heard": "write receive, or 'is notified of'",
    r"at once": "write immediately, concurrently, atomically or in one call",
    r"for good": "write permanently",
    r"a text|texts": "write str, or name the text",
    r"behind": "write after; a client is behind a proxy only in quoted code",
    r"meanwhile": "write 'during' and name the action",
}
ANY_BANNED = re.compile(rf"\b(?:{'|'.join(BANNED)})\b", re.IGNORECASE)
# The end of a str and the beginning of the next one, which Python joins.
SEAM = re.compile(r"""["']\s+f?["']""")
CODE = ("benchmarks", "docs", "examples", "feedstore", "scripts", "tests")
RIDDLES = {"What", "Where", "Who", "Whose", "How", "Which"}
# Real data quotes people.
DATA = tree.ROOT / "examples" / "data"


def test_no_path_of_a_machine_stands_in_the_tree() -> None:
    assert _lines_with(MACHINE_PATHS) == []


def test_no_registry_is_named() -> None:
    assert _lines_with(REGISTRY_HOSTS) == []


def test_the_checkout_s_own_path_stands_nowhere() -> None:
    assert _lines_with(re.compile(re.escape(f"{tree.ROOT}/"))) == []


def test_the_patterns_find_what_they_are_for() -> None:
    assert MACHINE_PATHS.search("see /" + "work/main")
    assert MACHINE_PATHS.search("~/.py" + "env/versions")
    assert not MACHINE_PATHS.search("docs/home/page and framework/main")
    assert REGISTRY_HOSTS.search("https://py" + "pi.org/simple")
    assert not REGISTRY_HOSTS.search("pip installs it from PyPI")


def test_prose_is_plain_english() -> None:
    found = [
        f"{path.relative_to(tree.ROOT)}:{line}: {match[0]!r} ({reason})"
        for path, line, text in prose_of_the_project()
        if ANY_BANNED.search(text)
        for pattern, reason in BANNED.items()
        for match in re.finditer(rf"\b(?:{pattern})\b", text, re.IGNORECASE)
    ]
    assert found == []


def test_docstrings_begin_with_a_verb_or_a_noun() -> None:
    found = [
        f"{path.relative_to(tree.ROOT)}:{line} begins with {word}"
        for path, line, word in prose.first_words()
        if word in RIDDLES
    ]
    assert found == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('"""Return what is stored."""', ["Return what is stored."]),
        ('"""Quotes ``what`` is code."""', ["Quotes  is code."]),
        ('"""Shows.\n\n>>> what\n1\n\nText."""', ["Shows.\n\n\n\n\nText."]),
        ("x = 1  # what it is", ["# what it is"]),
        ('raise ValueError("tell me what it is")', ["tell me what it is"]),
        ('x = "what"', []),
        ('x = f"{a}, behind {b}"', ["{}, behind {}"]),
    ],
)
def test_prose_of_python(source: str, expected: list[str], tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text(source, encoding="utf-8")
    assert [text for _, text in prose.of_python(path)] == expected


def test_a_word_in_two_parts_of_a_str_is_seen() -> None:
    assert ANY_BANNED.search(SEAM.sub("", 'raise ValueError(\n    "two at "\n    f"once {value}"\n)'))


def test_prose_of_markdown(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text("Text `what`.\n```\nwhat\n```\nMore.\n", encoding="utf-8")
    assert list(prose.of_markdown(path)) == [(1, "Text ."), (2, ""), (3, ""), (4, ""), (5, "More.")]


def test_prose_of_comments(tmp_path: Path) -> None:
    path = tmp_path / "statements.sql"
    path.write_text("-- Whole line.\nSELECT 1; -- what\n", encoding="utf-8")
    assert list(prose.of_comments(path)) == [(1, "Whole line.")]


def prose_of_the_project() -> Iterator[tuple[Path, int, str]]:
    """(path, line, text) of the prose of the project, without the Python files in which no banned word stands."""
    for path in tree.files():
        name = path.relative_to(tree.ROOT)
        if DATA in path.parents:
            continue
        found: Iterator[tuple[int, str]] = iter(())
        if path.suffix == ".py" and name.parts[0] in CODE:
            # Most files need no parser.
            if not ANY_BANNED.search(SEAM.sub("", path.read_text(encoding="utf-8"))):
                continue
            # A str of a test is data.
            found = prose.of_python(path, messages=name.parts[0] != "tests")
        elif path.suffix in (".sql", ".lua") or name.as_posix() == "scripts/bootstrap":
            found = prose.of_comments(path)
        elif path.suffix == ".md" and name.parts[0] in ("docs", "README.md", "CONTRIBUTING.md"):
            found = prose.of_markdown(path)
        yield from ((path, line, text) for line, text in found)


def _lines_with(pattern: re.Pattern[str]) -> list[str]:
    found: list[str] = []
    for path in tree.files():
        if DATA in path.parents:
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        if not pattern.search(text):
            continue
        name = path.relative_to(tree.ROOT)
        lines = enumerate(text.splitlines(), 1)
        found.extend(f"{name}:{number}: {line}" for number, line in lines if pattern.search(line))
    return found
