"""What an atomic batch does to a timeline before it trims it: the trim must reckon with what is not yet written."""

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
    """Everything up to an id was dropped by a trim."""

    highest: int


class Deleted(NamedTuple):
    """The timeline was deleted, and an epoch began."""

    epoch: int


Change = Added | Removed | Dropped | Deleted


def most_removed(changes: Collection[Change]) -> int:
    """Return how many entries changes may have removed one by one."""
    return sum(len(change.ids) for change in changes if isinstance(change, Removed))


def applied(ids: Collection[int], epoch: int, changes: Collection[Change]) -> tuple[list[int], int]:
    """Return the newest ids of a timeline, newest first, and its epoch, as they are after changes in their order."""
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
