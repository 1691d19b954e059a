"""One noun per file, one level of abstraction per function: both end before they grow long."""

from __future__ import annotations

import ast

from house import tree

MOST_LINES_IN_A_FILE = 400
MOST_LINES_IN_A_FUNCTION = 50


def test_files_end_before_they_grow_long() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in tree.python_files()}
    assert len(lengths) > 20
    long = {str(path.relative_to(tree.ROOT)): n for path, n in lengths.items() if n > MOST_LINES_IN_A_FILE}
    assert long == {}


def test_functions_end_before_they_grow_long() -> None:
    long = {}
    for path in tree.python_files():
        for node in tree.statements(tree.parse(path)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                assert node.end_lineno is not None
                length = node.end_lineno - node.lineno + 1
                if length > MOST_LINES_IN_A_FUNCTION:
                    long[f"{path.relative_to(tree.ROOT)}:{node.lineno} {node.name}"] = length
    assert long == {}
