"""Bounds on ids, orderings and positions: the arguments that choose a part of a timeline."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypedDict

from feedstore.errors import InvalidTypeError, InvalidValueError
from feedstore.ids import MAX_ID, ActivityLike
from feedstore.shown import shown

NEWEST_FIRST = ("-activity_id",)
OLDEST_FIRST = ("activity_id",)
_FILTERS = ("activity_id__lt", "activity_id__lte", "activity_id__gt", "activity_id__gte")


class Bounds(NamedTuple):
    """An inclusive range of ids. If ``lowest > highest``, it is empty. Either end may be one beyond the valid ids."""

    lowest: int = 0
    highest: int = MAX_ID

    @property
    def is_empty(self) -> bool:
        """Whether the range contains no id."""
        return self.lowest > self.highest

    @property
    def is_everything(self) -> bool:
        """Whether the range contains every id."""
        return self.lowest <= 0 and self.highest >= MAX_ID

    def after(self, last: int, descending: bool) -> Bounds:
        """Return the bounds of the ids that come after the id ``last`` in a walk."""
        return self._replace(highest=last - 1) if descending else self._replace(lowest=last + 1)

    def before(self, first: int, descending: bool) -> Bounds:
        """Return the bounds of the ids that come before the id ``first`` in a walk."""
        return self.after(first, not descending)

    def intersection(self, other: Bounds) -> Bounds:
        """Return the bounds of the ids that lie in both."""
        return Bounds(max(self.lowest, other.lowest), min(self.highest, other.highest))


EVERYTHING = Bounds()


class Filter(TypedDict, total=False):
    """Bounds on the ids of a read, such as ``{"activity_id__lt": id}``. An entry must meet all of them."""

    activity_id__lt: ActivityLike
    activity_id__lte: ActivityLike
    activity_id__gt: ActivityLike
    activity_id__gte: ActivityLike


def parse_filter(filter_kwargs: Filter | None, to_id: Callable[[object], int], others: Sequence[str] = ()) -> Bounds:
    """Return the range of a filter such as ``{"activity_id__lt": id}``.

    Args:
        filter_kwargs: The filter. All its bounds are honoured. None is every id.
        to_id: Converts a value of the filter to an id.
        others: Further names that the caller takes, for the error of an unknown name.

    Raises:
        InvalidValueError: The filter has an unknown name.
        InvalidTypeError: The filter is not a mapping.
    """
    if filter_kwargs is None:
        return EVERYTHING
    if not isinstance(filter_kwargs, Mapping):
        raise InvalidTypeError(
            f"filter_kwargs must be a mapping such as {{'activity_id__lt': id}}, not {shown(filter_kwargs)}"
        )
    lowest, highest = EVERYTHING
    for name, value in filter_kwargs.items():
        if name not in _FILTERS:
            names = ", ".join((*_FILTERS, *others))
            raise InvalidValueError(f"unknown filter {shown(name)}; the filters are {names}")
        activity_id = to_id(value)
        if name == "activity_id__gte":
            lowest = max(lowest, activity_id)
        elif name == "activity_id__gt":
            lowest = max(lowest, activity_id + 1)
        elif name == "activity_id__lte":
            highest = min(highest, activity_id)
        else:
            highest = min(highest, activity_id - 1)
    return Bounds(lowest, highest)


def is_descending(ordering_args: Sequence[str] | None) -> bool:
    """Return True for ``("-activity_id",)`` and None, which are newest first, and False for ``("activity_id",)``.

    It raises :class:`InvalidValueError` for any other ordering.
    """
    if ordering_args is None:
        return True
    if isinstance(ordering_args, Sequence) and not isinstance(ordering_args, (str, bytes)):
        ordering = tuple(ordering_args)
        if ordering == NEWEST_FIRST or not ordering:
            return True
        if ordering == OLDEST_FIRST:
            return False
    raise InvalidValueError(
        f"cannot order by {shown(ordering_args)}; pass ('-activity_id',), newest first, or ('activity_id',), oldest "
        "first"
    )
