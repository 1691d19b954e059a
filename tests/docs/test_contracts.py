"""The contracts page names every rule, and where each is checked."""

from __future__ import annotations

import inspect
import re
from collections import defaultdict
from dataclasses import asdict

import pytest

from docs.pages import DOCS
from feedstore.testing import BackendContract, OpenBackend, RepositoryContract, WholeDocumentContract

PAGE = (DOCS / "contracts.md").read_text(encoding="utf-8")
COUNTS = {"T": 23, "K": 8, "Q": 8, "N": 6, "C": 2, "D": 13}
RULES = [f"{letter}{number}" for letter, count in COUNTS.items() for number in range(1, count + 1)]
ROW = re.compile(r"^\| ([TKQNCD]\d+) \| (.+) \|$", re.MULTILINE)
CITED = re.compile(r"\b[TKQNCD]\d+\b")


STORES = ["memory", "sqlite", "postgresql", "redis", "cassandra"]
ABILITY = re.compile(r"^\| `(\w+)` \|.*?\|" + r" (yes|no)[^|]*\|" * len(STORES) + "$", re.MULTILINE)


def suites_by_rule() -> dict[str, set[str]]:
    """{rule: the suites with a test whose docstring begins by citing it}."""
    found: dict[str, set[str]] = defaultdict(set)
    for suite in (*BackendContract.__mro__, *RepositoryContract.__mro__, *WholeDocumentContract.__mro__):
        for name, test in vars(suite).items():
            if name.startswith("test_"):
                citation = (inspect.getdoc(test) or "").partition(":")[0]
                for rule in CITED.findall(citation):
                    found[rule].add(suite.__name__)
    return found


@pytest.mark.parametrize("rule", RULES)
def test_the_page_has_the_rule(rule: str) -> None:
    assert re.search(rf"^### {rule} \S", PAGE, re.MULTILINE)


def test_the_page_has_no_other_rule() -> None:
    assert re.findall(r"^### ([A-Z]\d+) ", PAGE, re.MULTILINE) == RULES


def test_each_rule_is_checked_where_the_page_says() -> None:
    shown = {rule: set(re.findall(r"\w+", suites)) for rule, suites in ROW.findall(PAGE)}
    checked = suites_by_rule()
    assert list(shown) == RULES
    for rule, suites in shown.items():
        assert suites <= checked[rule], rule


@pytest.mark.parametrize("backend_kind", STORES)
def test_the_table_of_abilities_is_true(open_backend: OpenBackend, backend_kind: str) -> None:
    rows = {name: columns for name, *columns in ABILITY.findall(PAGE)}
    expected = {name: value for name, value in asdict(open_backend().abilities).items() if isinstance(value, bool)}
    assert {name: columns[STORES.index(backend_kind)] == "yes" for name, columns in rows.items()} == expected
