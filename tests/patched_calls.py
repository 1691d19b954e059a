"""Calls of an object that a test lists, or precedes by an action of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from feedstore.storage import Backend


def act_before_next(owner: Any, name: str, action: Callable[[], object]) -> None:
    """Perform an action before the next call of a method, and before no later one."""
    original = getattr(owner, name)

    def call(*arguments: Any, **options: Any) -> Any:
        setattr(owner, name, original)
        action()
        return original(*arguments, **options)

    setattr(owner, name, call)


def list_round_trips(
    monkeypatch: pytest.MonkeyPatch, backend: Backend, calls: Iterable[tuple[object, Iterable[str]]]
) -> list[str]:
    """Return a list that grows by the names of a backend's batches, and of calls of its storages outside them.

    The memory backend takes one round trip for each.
    """
    made: list[str] = []

    def count(owner: object, name: str) -> None:
        original = getattr(owner, name)

        def call(*arguments: Any, **options: Any) -> Any:
            if options.get("batch_interface") is None:
                made.append(name)
            return original(*arguments, **options)

        monkeypatch.setattr(owner, name, call)

    for owner, names in (*calls, (backend.session, ("transact",))):
        for name in names:
            count(owner, name)
    return made
