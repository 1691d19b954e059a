"""Import circles inside the packages, and imports inside functions: how many there are may only fall."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from house import tree

PACKAGE = tree.ROOT / "feedstore"
Graph = dict[str, set[str]]

# How many modules of each package stand in an import circle today. Lower a number when a circle has been opened.
IN_CIRCLES = {
    "feedstore.backends.cassandra": 8,
    "feedstore.backends.memory": 6,
    "feedstore.backends.redis": 9,
    "feedstore.backends.sql": 5,
    "feedstore.storage": 15,
}
# How many imports of the project's own modules stand inside functions today, by package.
INSIDE_FUNCTIONS = {
    "feedstore.backends.memory": 1,
    # Alembic, which a current schema never needs, and the modules that need psycopg.
    "feedstore.backends.sql": 4,
    "feedstore.cli": 5,
    # Streams need Starlette, which is optional.
    "feedstore.feeds": 1,
    "feedstore.storage": 2,
}


def test_no_more_modules_stand_in_circles() -> None:
    circles = circles_of(import_graph())
    found = Counter(package_of(module) for circle in circles for module in circle)
    more = {package: count for package, count in found.items() if count > IN_CIRCLES.get(package, 0)}
    assert more == {}, f"the circles are {[sorted(circle) for circle in circles]}"


def test_no_more_imports_stand_inside_functions() -> None:
    found: dict[str, list[str]] = {}
    for module, path in modules().items():
        for line, name in inner_imports(path):
            found.setdefault(package_of(module), []).append(f"{module}:{line} imports {name}")
    more = {package: each for package, each in found.items() if len(each) > INSIDE_FUNCTIONS.get(package, 0)}
    assert more == {}


def test_what_is_written_down_exists() -> None:
    packages = {package_of(module) for module in modules()}
    assert {*IN_CIRCLES, *INSIDE_FUNCTIONS} <= packages


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        ({"a": {"b"}, "b": {"c"}, "c": set()}, []),
        ({"a": {"b"}, "b": {"a"}, "c": {"a"}}, [{"a", "b"}]),
        ({"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": {"e"}, "e": {"d"}}, [{"a", "b", "c"}, {"d", "e"}]),
        ({"a": {"a"}}, []),
    ],
)
def test_the_search_itself(graph: Graph, expected: list[set[str]]) -> None:
    assert sorted(circles_of(graph), key=min) == expected


def test_imports_for_type_checkers_and_inside_functions_are_seen(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text(
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from feedstore.storage.batch import Batch\n"
        "def function():\n    from feedstore.storage import backend\n    import json\n"
    )
    assert imported_modules(path) == {"feedstore.storage.batch", "feedstore.storage.backend"}
    assert list(inner_imports(path)) == [(5, "feedstore.storage.backend")]


@cache
def modules() -> dict[str, Path]:
    """Return the file of each module of the package, by its dotted name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(tree.ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def package_of(module: str) -> str:
    """Return the package that a module counts for: a folder of ``feedstore``, or one backend."""
    parts = module.split(".")
    depth = 3 if parts[1:2] == ["backends"] else 2
    return ".".join(parts[:depth])


def import_graph() -> Graph:
    """Return the modules that each module imports anywhere: also for type checkers, and inside functions."""
    return {module: imported_modules(path) - {module} for module, path in modules().items()}


def imported_modules(path: Path) -> set[str]:
    """Return the modules of the package that a file imports."""
    known = modules()
    return {module for _, name in tree.imported_names(path) if (module := module_of(name, known)) is not None}


def module_of(name: str, known: dict[str, Path]) -> str | None:
    """Return the module that an imported name is, or is defined or exported in."""
    return next((each for each in (name, name.rpartition(".")[0]) if each in known), None)


def inner_imports(path: Path) -> Iterator[tuple[int, str]]:
    """Yield ``(line, module)`` of each import of the package's own modules inside a function."""
    known = modules()
    lines = {
        inner.lineno
        for function in ast.walk(tree.parse(path))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(function)
        if isinstance(inner, ast.Import | ast.ImportFrom)
    }
    seen = set()
    for line, name in tree.imported_names(path):
        module = module_of(name, known)
        if line in lines and module is not None and (line, module) not in seen:
            seen.add((line, module))
            yield line, module


def circles_of(graph: Graph) -> list[set[str]]:
    """Return the sets of more than one module that all reach each other."""
    reached = {module: reachable(graph, module) for module in graph}
    circles = []
    left = set(graph)
    while left:
        module = min(left)
        circle = {module} | {other for other in reached[module] if module in reached.get(other, ())}
        left -= circle
        if len(circle) > 1:
            circles.append(circle)
    return circles


def reachable(graph: Graph, start: str) -> set[str]:
    """Return the modules that one reaches over one import or more."""
    found: set[str] = set()
    todo = [start]
    while todo:
        for module in graph.get(todo.pop(), set()) - found:
            found.add(module)
            todo.append(module)
    return found
