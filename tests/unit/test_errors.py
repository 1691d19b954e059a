"""The tree of exceptions is the one that its docstring draws."""

from __future__ import annotations

import builtins
import copy
import pickle
import re
from typing import Any

import pytest

from feedstore import errors
from feedstore.errors import FeedstoreError, InputError

LINE = re.compile(r"^(?P<indent>[ │├└─]*)(?P<name>\w+)(?: +\((?P<builtin>\w+)\))?(?: +(?P<words>\S.*))?$")


def drawn() -> dict[str, tuple[str | None, str | None]]:
    """{name: (name of the parent, name of the built-in exception that it also is)} as the docstring draws it."""
    lines = (errors.__doc__ or "").partition("::\n")[2].partition("\n\nA usage")[0].splitlines()
    found: dict[str, tuple[str | None, str | None]] = {}
    above: list[str] = []
    for line in filter(str.strip, lines):
        match = LINE.match(line)
        assert match, line
        depth = (len(match["indent"]) - 4) // 4
        found[match["name"]] = (above[depth - 1] if depth else None, match["builtin"])
        above[depth:] = [match["name"]]
    return found


def real() -> dict[str, tuple[str | None, str | None]]:
    """The same of the classes themselves."""
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, FeedstoreError)]
    return {kind.__name__: (_parent(kind), _builtin(kind)) for kind in kinds}


def _parent(kind: type[Any]) -> str | None:
    return next((base.__name__ for base in kind.__bases__ if issubclass(base, FeedstoreError)), None)


def _builtin(kind: type[Any]) -> str | None:
    if kind is FeedstoreError:
        return None
    return next((base.__name__ for base in kind.__bases__ if base.__module__ == "builtins"), None)


def test_the_docstring_draws_the_tree() -> None:
    assert drawn() == real()
    assert len(real()) > 20


def test_every_branch_is_described() -> None:
    for name in real():
        assert getattr(errors, name).__doc__, name


@pytest.mark.parametrize("name", sorted(real()))
def test_an_error_can_be_raised_caught_and_handed_on(name: str) -> None:
    kind = getattr(errors, name)
    error = kind("what was wrong")
    assert isinstance(error, FeedstoreError)
    assert str(error) == "what was wrong"
    builtin = real()[name][1]
    if builtin is not None:
        with pytest.raises(getattr(builtins, builtin)):
            raise error
    for copied in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(copied) is kind
        assert str(copied) == str(error)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("no verb",), "no verb"),
        (("no verb", "a.csv"), "a.csv: no verb"),
        (("no verb", "a.csv", 7), "a.csv:7: no verb"),
        (("no verb", None, 7), "7: no verb"),
    ],
)
def test_an_input_error_says_where(arguments: tuple[Any, ...], message: str) -> None:
    error = InputError(*arguments)
    assert str(error) == message
    assert (error.reason, error.path, error.line) == (*arguments, None, None)[:3]
    copied = pickle.loads(pickle.dumps(error))
    assert str(copied) == message
    assert (copied.reason, copied.path, copied.line) == (error.reason, error.path, error.line)
