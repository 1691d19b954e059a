"""The reading half of all feeds: filters, ordering, positions and pages."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from datetime import datetime
from typing import Any, Generic, NoReturn, Self, TypeVar, overload

from feedstore.errors import InvalidTypeError, PositionNotFound
from feedstore.ids import MAX_ID, ActivityLike, first_id_at, last_id_at, parse_id
from feedstore.shown import shown
from feedstore.storage import Backend, Page
from feedstore.storage.bounds import EVERYTHING, Bounds, Filter, is_descending, parse_filter
from feedstore.storage.checks import check_limit, check_position, check_slice

Shown = TypeVar("Shown")


class FeedReads(ABC, Generic[Shown]):
    """A feed as its readers use it: filters, ordering, positions and pages of one timeline or of several.

    Attributes:
        backend: The backend.
        key: The name of the feed in errors and cursors.
    """

    backend: Backend
    key: str
    _bounds: Bounds = EVERYTHING
    _descending: bool = True

    def filter(self, *, since: datetime | None = None, until: datetime | None = None, **filters: ActivityLike) -> Self:
        """Return a copy of the feed that reads only some entries; filters accumulate, and all are honoured.

        Args:
            since: The time of the oldest entries, included.
            until: The time of the newest entries, included.
            **filters: ``activity_id__lt``, ``activity_id__lte``, ``activity_id__gt``, ``activity_id__gte``.
        """
        known: Any = filters
        bounds = self._bounds.intersection(parse_filter(known, id_of, ("since", "until")))
        if since is not None:
            bounds = bounds.intersection(Bounds(lowest=first_id_at(since)))
        if until is not None:
            bounds = bounds.intersection(Bounds(highest=last_id_at(until)))
        other = copy.copy(self)
        other._bounds = bounds
        return other

    def order_by(self, *ordering: str) -> Self:
        """Return a copy of the feed in another order: ``"activity_id"`` is oldest first, ``"-activity_id"`` newest
        first.
        """
        other = copy.copy(self)
        other._descending = is_descending(ordering)
        return other

    def _filter(self) -> Filter | None:
        return filter_within(self._bounds)

    def _is_whole(self, floor: int | None) -> bool:
        """Return whether a feed with a floor holds every entry within its filters that was added and not removed."""
        return floor is None or floor <= self._bounds.lowest

    @abstractmethod
    def page(self, limit: int, cursor: str | None = None) -> Page[Shown]:
        """Return the next ``limit`` items; ``cursor`` is the ``next_cursor`` of the page before."""

    @abstractmethod
    def _read_slice(self, start: int, stop: int | None) -> list[Shown]:
        """Return the items at some positions."""

    @overload
    def __getitem__(self, position: int) -> Shown: ...

    @overload
    def __getitem__(self, position: slice) -> list[Shown]: ...

    def __getitem__(self, position: int | slice) -> Shown | list[Shown]:
        """Return the items at positions as a Python list would; negative positions are refused."""
        if not isinstance(position, slice):
            index = check_position("the position", position)
            found = self._measured(index, index + 1)
            if not found:
                raise PositionNotFound(f"the feed {shown(self.key)} has nothing at position {index}")
            return found[0]
        if position.step is not None:
            check_limit("the step", position.step)
        start, stop = check_slice(position.start, position.stop)
        return self._measured(start, stop)[:: position.step]

    def _measured(self, start: int, stop: int | None) -> list[Shown]:
        with self.backend.metrics.feed_reads_timer(type(self)):
            items = self._read_slice(start, stop)
        self.backend.metrics.on_feed_read(type(self), self._activity_count(items))
        return items

    def _activity_count(self, items: list[Shown]) -> int:
        """Return the number of activities in the items of a read."""
        return len(items)

    def __iter__(self) -> NoReturn:
        raise InvalidTypeError(
            f"{type(self).__name__} cannot be iterated without bounds: read a slice such as feed[:25], or walk with "
            "feed.page(limit, cursor)"
        )


def id_of(activity: object) -> int:
    """Return the id of an activity, or of another name of it."""
    return parse_id(getattr(activity, "serialization_id", activity))


def filter_within(bounds: Bounds) -> Filter | None:
    """Return the filter of a read within bounds that are not empty; None if they are everything."""
    if bounds.is_everything:
        return None
    return {"activity_id__gte": max(bounds.lowest, 0), "activity_id__lte": min(bounds.highest, MAX_ID)}
