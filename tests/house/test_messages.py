"""Messages show values through ``feedstore.shown``, which is bounded and never fails as ``repr`` may."""

from __future__ import annotations

import ast

from house import tree

# The suites' own assertions speak to a developer, of values that the suite chose.
PACKAGE = [
    path
    for path in tree.python_files()
    if tree.ROOT / "feedstore" in path.parents and "testing" not in path.parts and path.name != "shown.py"
]


def reprs_in(source: str) -> list[int]:
    """Return the lines of f-strings that use ``!r``, and of calls of ``repr``, outside of ``__repr__`` methods."""
    # Most modules need no parser.
    if "!r" not in source and "repr" not in source:
        return []
    module = ast.parse(source)
    allowed = {
        id(inner)
        for node in tree.walk(module)
        if isinstance(node, ast.FunctionDef) and node.name == "__repr__"
        for inner in tree.walk(node)
    }
    return [
        node.lineno
        for node in tree.walk(module)
        if id(node) not in allowed
        and (
            (isinstance(node, ast.FormattedValue) and node.conversion == ord("r"))
            or (isinstance(node, ast.Name) and node.id == "repr")
        )
    ]


def test_no_message_uses_repr() -> None:
    found = {str(path.relative_to(tree.ROOT)): reprs_in(path.read_text(encoding="utf-8")) for path in PACKAGE}
    assert len(found) > 100
    assert {path: lines for path, lines in found.items() if lines} == {}


def test_the_check_bites() -> None:
    assert reprs_in('raise ValueError(f"no {value!r}")') == [1]
    assert reprs_in('raise ValueError(", ".join(map(repr, values)))') == [1]
    assert reprs_in('class A:\n    def __repr__(self):\n        return f"{self.a!r}"') == []
