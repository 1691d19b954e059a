"""The journal of a memory store: the steps that undo the writes of a call before it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterable, MutableMapping
from typing import Any

_ABSENT: Any = object()


class Journal:
    """Undo steps, oldest first. Each is recorded before its change, and may run although the change did not happen.

    An interrupt may end :meth:`roll_back` too. A step is dropped after it ran, and running it twice is harmless.
    """

    __slots__ = ("record", "steps")

    def __init__(self) -> None:
        self.steps: list[tuple[Any, ...]] = []
        """The recorded steps. A successful call clears them, so that its writes stay."""
        self.record: Callable[[tuple[Any, ...]], None] = self.steps.append
        """Record an undo step: a tuple of a function and its arguments."""

    def roll_back(self) -> None:
        """Undo the steps, newest first."""
        steps = self.steps
        while steps:
            undo, *arguments = steps[-1]
            undo(*arguments)
            steps.pop()

    def set_item(self, table: MutableMapping[Any, Any], key: Any, value: Any) -> None:
        """Set an item of a dictionary."""
        self.record((restore_item, table, key, table.get(key, _ABSENT)))
        table[key] = value

    def remove_item(self, table: MutableMapping[Any, Any], key: Any) -> None:
        """Remove an item of a dictionary. An absent key is no error."""
        if key in table:
            self.record((restore_item, table, key, table[key]))
            table.pop(key, None)

    def update(self, table: dict[Any, Any], items: Any) -> None:
        """Set items of a dictionary."""
        if table.keys().isdisjoint(items):
            before = dict.fromkeys(items, _ABSENT)
        else:
            before = {key: table.get(key, _ABSENT) for key in items}
        self.record((_restore_items, table, before))
        table.update(items)

    def remove_items(self, table: dict[Any, Any], keys: Iterable[Any]) -> int:
        """Remove items of a dictionary. Return the number that existed."""
        present = {key: table[key] for key in keys if key in table}
        self.record((_restore_items, table, present))
        for key in present:
            table.pop(key, None)
        return len(present)

    def replace(self, owner: object, name: str, value: object) -> None:
        """Set an attribute."""
        self.record((setattr, owner, name, getattr(owner, name)))
        setattr(owner, name, value)


def restore_item(table: MutableMapping[Any, Any], key: Any, before: Any) -> None:
    """Set an item of a dictionary to its earlier value, or remove it."""
    if before is _ABSENT:
        table.pop(key, None)
    else:
        table[key] = before


def _restore_items(table: MutableMapping[Any, Any], before: dict[Any, Any]) -> None:
    for key, value in before.items():
        restore_item(table, key, value)
