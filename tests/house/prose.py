"""The prose of the project: docstrings, comments and messages of code, and the text of Markdown files."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path

from house import tree

# Quoted code, roles of Sphinx, doctest examples and their output.
_QUOTED = re.compile(r"``.*?``|:\w+:`.*?`|`[^`\n]*`", re.DOTALL)
_COMMENT = re.compile(r"^\s*(?:--|#)\s(.*)")
_FENCE = re.compile(r"^( *)(```|~~~).*?^\1\2", re.DOTALL | re.MULTILINE)
_LEAST_WORDS = 3


def of_python(path: Path, messages: bool = True) -> Iterator[tuple[int, str]]:
    """(line, text) of each docstring, comment and message of a Python file, without quoted code."""
    source = path.read_text(encoding="utf-8")
    nodes = tree.walk(ast.parse(source, str(path)))
    docstrings = list(_docstrings(nodes))
    for node in docstrings:
        yield node.lineno, unquoted(_without_examples(str(node.value)))
    for line, text in _messages(nodes, set(map(id, docstrings))) if messages else ():
        if len(text.split()) >= _LEAST_WORDS:
            yield line, unquoted(text)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], unquoted(token.string)


def of_comments(path: Path) -> Iterator[tuple[int, str]]:
    """(line, text) of each line of a SQL, Lua or shell file that holds only a comment."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        comment = _COMMENT.match(line)
        if comment is not None:
            yield number, unquoted(comment[1])


def of_markdown(path: Path) -> Iterator[tuple[int, str]]:
    """(line, text) of each line of a Markdown file, without code."""
    source = path.read_text(encoding="utf-8")
    # Blocks of code keep their lines, so that the numbers of the others stay.
    source = _FENCE.sub(lambda block: "\n" * block[0].count("\n"), source)
    for number, line in enumerate(source.splitlines(), 1):
        yield number, unquoted(line)


def first_words() -> Iterator[tuple[Path, int, str]]:
    """(path, line, first word) of each docstring of the package."""
    for path in sorted((tree.ROOT / "feedstore").rglob("*.py")):
        for node in _docstrings(tree.statements(tree.parse(path))):
            words = str(node.value).split()
            if words:
                yield path, node.lineno, words[0]


def unquoted(text: str) -> str:
    """Return prose without quoted code."""
    return _QUOTED.sub("", text)


def _docstrings(nodes: Iterable[ast.AST]) -> Iterator[ast.Constant]:
    """Yield the string expressions of a module: docstrings, and those below attributes and constants."""
    for node in nodes:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.value


def _messages(nodes: Iterable[ast.AST], docstrings: set[int]) -> Iterator[tuple[int, str]]:
    """(line, text) of each str that is no docstring. Fields of an f-string are ``{}``."""
    parts: set[int] = set()
    for node in nodes:
        if isinstance(node, ast.JoinedStr):
            constants = [part for part in node.values if isinstance(part, ast.Constant)]
            parts.update(map(id, constants))
            yield node.lineno, "".join(str(part.value) if part in constants else "{}" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings | parts:
            yield node.lineno, node.value


def _without_examples(docstring: str) -> str:
    lines: list[str] = []
    in_example = False
    for line in docstring.splitlines():
        in_example = line.lstrip().startswith(">>>") or (in_example and bool(line.strip()))
        lines.append("" if in_example else line)
    return "\n".join(lines)
