"""The project's files, as the tests of the house see them."""

from __future__ import annotations

import ast
import os
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def files() -> list[Path]:
    """Every file of the project: those that git tracks, and new ones that it does not ignore."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    # Another user than the one of the tests may own the checkout.
    trust = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}
    listed = subprocess.run(command, cwd=ROOT, env={**os.environ, **trust}, check=True, capture_output=True, text=True)
    paths = {ROOT / name for name in listed.stdout.split("\0") if name}
    return sorted(path for path in paths if path.is_file())


def python_files() -> list[Path]:
    """Every Python file of the project."""
    return [path for path in files() if path.suffix == ".py"]


def parse(path: Path) -> ast.Module:
    """The syntax tree of a Python file."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def walk(node: ast.AST) -> list[ast.AST]:
    """Return a node and the nodes below it in the order of ``ast.walk``, which takes three times as long."""
    found: list[ast.AST] = [node]
    for each in found:
        for value in vars(each).values():
            if isinstance(value, ast.AST):
                found.append(value)
            elif isinstance(value, list):
                found.extend(part for part in value if isinstance(part, ast.AST))
    return found


def statements(module: ast.Module) -> list[ast.stmt]:
    """Return the statements of a module at any depth, without a walk through their expressions."""
    found: list[ast.stmt] = list(module.body)
    for each in found:
        parts = (each, *getattr(each, "handlers", ()), *getattr(each, "cases", ()))
        found.extend(
            inner for part in parts for name in ("body", "orelse", "finalbody") for inner in getattr(part, name, ())
        )
    return found


@cache
def imported_names(path: Path) -> Sequence[tuple[int, str]]:
    """(line, dotted name) of every import of a file, in functions too. ``from a import b`` gives ``a.b``."""
    found: list[tuple[int, str]] = []
    for node in statements(parse(path)):
        if isinstance(node, ast.Import):
            found.extend((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            found.extend((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)
    return found
