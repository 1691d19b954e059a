"""Changes of a timeline in an atomic batch. A later trim in the batch applies them to the entries that it reads."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple


class Added(NamedTuple):
    """Entries were added."""

    ids: Collection[int]


class Removed(NamedTuple):
    """Entries were removed."""

    ids: Collection[int]


class Dropped(NamedTuple):
    """A trim dropped all entries up to an id."""

    highest: int


class Deleted(NamedTuple):
    """The timeline was deleted, and a new epoch began."""

    epoch: int


Change = Added | Removed | Dropped | Deleted


def most_removed(changes: Collection[Change]) -> int:
    """Return the number of entries that removals of single entries may have removed."""
    return sum(len(change.ids) for change in changes if isinstance(change, Removed))


def applied(ids: Collection[int], epoch: int, changes: Collection[Change]) -> tuple[list[int], int]:
    """Apply changes, in their order, to a timeline's newest ids and epoch. Return both, with the ids newest first."""
    present = set(ids)
    for change in changes:
        if isinstance(change, Added):
            present |= set(change.ids)
        elif isinstance(change, Removed):
            present -= set(change.ids)
        elif isinstance(change, Dropped):
            present = {one for one in present if one > change.highest}
        else:
            present, epoch = set(), change.epoch
    return sorted(present, reverse=True), epoch
