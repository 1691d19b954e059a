"""No test sleeps: it polls with a deadline, or it waits for an event."""

from __future__ import annotations

import ast

from house import tree

POLLING = tree.ROOT / "tests" / "polling.py"
FOLDERS = (tree.ROOT / "tests", tree.ROOT / "feedstore" / "testing")


def test_no_test_sleeps() -> None:
    found: list[str] = []
    for path in tree.python_files():
        if path != POLLING and any(folder in path.parents for folder in FOLDERS):
            # Most files need no parser.
            if "sleep" not in path.read_text(encoding="utf-8"):
                continue
            calls = (node for node in tree.walk(tree.parse(path)) if isinstance(node, ast.Call))
            found.extend(f"{path.relative_to(tree.ROOT)}:{call.lineno}" for call in calls if _sleeps(call))
    assert found == []


def test_a_sleep_is_seen() -> None:
    for code in ("time.sleep(1)", "sleep(1)"):
        (statement,) = ast.parse(code).body
        assert isinstance(statement, ast.Expr)
        assert isinstance(statement.value, ast.Call)
        assert _sleeps(statement.value)


def _sleeps(call: ast.Call) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    return name == "sleep"
