"""Checks that a class has the methods of an ancestor's class, with their arguments."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class SeedMethod(NamedTuple):
    """A method of the ancestor: its present class, its name, and the names of its arguments."""

    owner: type[Any]
    name: str
    arguments: list[str]

    def __str__(self) -> str:
        return f"{self.owner.__name__}.{self.name}"

    def check(self) -> None:
        """Check that the method exists and accepts its arguments, by position and by name."""
        signature = inspect.signature(getattr(self.owner, self.name))
        assert list(signature.parameters)[1 : 1 + len(self.arguments)] == self.arguments
        signature.bind(None, *self.arguments)
        signature.bind(None, **dict.fromkeys(self.arguments))


def seed_methods(classes: Sequence[tuple[type[Any], Mapping[str, list[str]]]]) -> list[SeedMethod]:
    """Return all methods of all classes."""
    return [SeedMethod(owner, name, arguments) for owner, methods in classes for name, arguments in methods.items()]
