"""No module stands in an import circle, also by imports inside functions and for type checkers alone."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from house import tree

PACKAGE = tree.ROOT / "feedstore"
Graph = dict[str, set[str]]

# Imports of the package's own modules inside functions, with the reason.
INSIDE_FUNCTIONS = {
    "feedstore.backends.sql.backend": "few applications use SQLAlchemy's ORM, which takes long to import",
    "feedstore.backends.sql.opening": "only PostgreSQL's modules need psycopg, which SQLite's users have not installed",
    "feedstore.backends.sql.schema.prepare": "a store with a current schema never needs Alembic",
    "feedstore.cli.db": "the commands of SQL stores alone need SQLAlchemy and Alembic, which take long to import",
    "feedstore.cli.events": "the import of theia's table alone needs SQLAlchemy",
    "feedstore.cli.serve": "the viewer needs Starlette, which is optional",
    "feedstore.compat.stream_framework_sources": "the drivers of Redis and Cassandra are optional",
    "feedstore.feeds.base": "streams need Starlette, which is optional",
}
# Imports of the package's own modules under `if TYPE_CHECKING`, with the reason.
FOR_TYPE_CHECKERS = {
    "feedstore.storage.backend": "the SQL backends alone have documents, which would take a seventh of the import",
}

INDENTED_IMPORT = re.compile(r"^\s.*\bimport\b", re.MULTILINE)


def test_no_module_stands_in_a_circle() -> None:
    assert circles_of(import_graph()) == []


def test_imports_inside_functions_have_a_reason() -> None:
    found = {module for module, path in modules().items() for _ in inner_imports(path)}
    assert found == set(INSIDE_FUNCTIONS)


def test_imports_for_type_checkers_alone_have_a_reason() -> None:
    found = {module for module, path in modules().items() if list(imports_for_type_checkers(path))}
    assert found == set(FOR_TYPE_CHECKERS)


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
    assert list(imports_for_type_checkers(path)) == [3]
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
    # Most modules need no parser.
    if not INDENTED_IMPORT.search(path.read_text(encoding="utf-8")):
        return
    known = modules()
    lines = {
        inner.lineno
        for function in tree.statements(tree.parse(path))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in tree.walk(function)
        if isinstance(inner, ast.Import | ast.ImportFrom)
    }
    seen = set()
    for line, name in tree.imported_names(path):
        module = module_of(name, known)
        if line in lines and module is not None and (line, module) not in seen:
            seen.add((line, module))
            yield line, module


def imports_for_type_checkers(path: Path) -> Iterator[int]:
    """Yield the line of each import of the package's own modules under ``if TYPE_CHECKING``."""
    if "TYPE_CHECKING" not in path.read_text(encoding="utf-8"):
        return
    known = modules()
    lines = {line for line, name in tree.imported_names(path) if module_of(name, known) is not None}
    for block in tree.statements(tree.parse(path)):
        if isinstance(block, ast.If) and isinstance(block.test, ast.Name) and block.test.id == "TYPE_CHECKING":
            yield from (inner.lineno for inner in block.body if inner.lineno in lines)


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
