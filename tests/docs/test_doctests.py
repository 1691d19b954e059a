"""Every example in a docstring runs, and prints the shown output."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import pkgutil
from pathlib import Path

import pytest

import feedstore
from docs.running import OPTIONS

FACE = ["feedstore.activity", "feedstore.ids", "feedstore.registry", "feedstore.storage.timeline", "feedstore.verbs"]


def module_names() -> list[str]:
    """Every module of the package with a prompt in it, but for those that do something when they are imported."""
    found = ["feedstore", *(module.name for module in pkgutil.walk_packages(feedstore.__path__, "feedstore."))]
    return [
        name for name in found if ".migrations" not in name and not name.endswith("__main__") and ">>> " in source(name)
    ]


def source(name: str) -> str:
    """The source text of a module."""
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", module_names())
def test_the_examples_of_a_module_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    report: list[str] = []
    for example in doctest.DocTestFinder(exclude_empty=True).find(importlib.import_module(name)):
        runner = doctest.DocTestRunner(optionflags=OPTIONS)
        runner.run(example, out=report.append)
        assert not runner.failures, "".join(report)


@pytest.mark.parametrize("name", FACE)
def test_what_people_meet_first_has_an_example(name: str) -> None:
    tests = doctest.DocTestFinder(exclude_empty=True).find(importlib.import_module(name))
    assert any(test.examples for test in tests)
