"""Public top-level names are defined in one module each, unless the modules play the same role."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import pytest

from house import tree

PACKAGE = tree.ROOT / "feedstore"
COMMANDS = {
    f"{name}.py"
    for name in (
        *("activity", "copy", "db", "erase_person", "events", "export", "feed", "imports", "ingest"),
        *("jobs", "pubsub", "retain", "serve", "stats", "timeline", "trim", "worker"),
    )
}
# Names that several modules define, with the reason.
ALLOWED = {
    "Connection": "a connection to a database, and the connection of a channel, which is eric-sse's name",
    "FORMAT": "the version of the stored format of each module's own data",
    "KvStorage": "eric-sse's name of the storage of an application, and the contract of backends",
    "POLL_SECONDS": "the interval of each source that polls",
    "Place": "the address of a server, and the places of entries inside a backend",
    "URL_VARIABLE": "one environment variable, which Alembic's script reads without the command line",
    "first_part": "the routing part of a key, as checked by the contract and as encoded by Redis",
    "logger": "each module's own logger",
    "main": "the command line's, and the entry of Alembic's script",
    "read_count": "a count in an option's value, and in a database row",
    "read_seconds": "seconds in an option's value, and in a database row",
    "read_text": "a str in an option's value, and in a database row",
    "total": "a sum that may be unknown, and Redis's sum of replies",
}


def test_no_name_is_defined_twice() -> None:
    found = {
        name: sorted(modules)
        for name, modules in definitions().items()
        if len(one_for_each_role(modules)) > 1 and name not in ALLOWED
    }
    assert found == {}


@pytest.mark.parametrize(
    ("modules", "roles"),
    [
        ({"ids.py"}, 1),
        ({"ids.py", "verbs.py"}, 2),
        ({"backends/redis/store.py", "backends/memory/store.py"}, 1),
        ({"backends/redis/store.py", "storage/kv.py"}, 2),
        ({"cli/db.py", "cli/trim.py"}, 1),
        ({"cli/db.py", "cli/options.py"}, 2),
    ],
)
def test_modules_of_one_role_count_once(modules: set[str], roles: int) -> None:
    assert len(one_for_each_role(modules)) == roles


def test_the_names_of_a_module(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text("import os\nA = 1\nB: int = 2\nclass C:\n    D = 3\ndef e():\n    f = 1\n", encoding="utf-8")
    assert defined_names(tree.parse(path)) == ["A", "B", "C", "e"]


def definitions() -> dict[str, set[str]]:
    """{name: modules that define it} of the public classes, functions and constants of the package.

    The shipped suites have names of their own.
    """
    found: dict[str, set[str]] = defaultdict(set)
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.is_relative_to(PACKAGE / "testing"):
            continue
        for name in defined_names(tree.parse(path)):
            if not name.startswith("_"):
                found[name].add(str(path.relative_to(PACKAGE)))
    return found


def defined_names(module: ast.Module) -> list[str]:
    """The names that the top level of a module defines, without its imports."""
    names: list[str] = []
    for node in module.body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            names.append(node.name)
        elif isinstance(node, ast.Assign):
            names.extend(target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.append(node.target.id)
    return names


def one_for_each_role(modules: set[str]) -> set[str]:
    """Return the modules' roles: the parts of backends count as one role, and so do the commands."""
    return {role_of(Path(module)) for module in modules}


def role_of(module: Path) -> str:
    """Return the role of a module, which is its own path unless several modules have one role."""
    parts = module.parts
    if parts[0] == "backends" and len(parts) > 2:
        return "a part of a backend"
    if parts[0] == "cli" and parts[1] in COMMANDS:
        return "a command"
    return str(module)
