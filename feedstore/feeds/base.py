"""The part that all feeds share: a key, writes, filters and ordering."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, NoReturn, Self, TypeVar, overload

from feedstore.errors import InvalidTypeError, InvalidValueError, PositionNotFound
from feedstore.feeds.key_format import UserId
from feedstore.feeds.writes import FeedWrites
from feedstore.ids import MAX_ID, ActivityLike, first_id_at, last_id_at
from feedstore.shown import shown
from feedstore.storage import ActivityStorage, Backend, Page, Subscription
from feedstore.storage.bounds import EVERYTHING, Bounds, Filter, is_descending, parse_filter
from feedstore.storage.checks import DEFAULT_NAME, check_limit, check_position, check_slice
from feedstore.storage.notify.subscription import RECHECK_SECONDS
from feedstore.storage.page import cursor_bounds, encode_cursor

if TYPE_CHECKING:
    from starlette.responses import Response

Shown = TypeVar("Shown")


class BaseFeed(FeedWrites, ABC, Generic[Shown]):
    """One user's feed on a backend: a timeline, and the activities that its entries refer to.

    Subclass :class:`~feedstore.feeds.Feed` and set its attributes. A feed object holds only names, so create one for
    each request. Adding an entry for an activity does not store the activity: call :meth:`insert_activity` first, or
    both in one batch.
    """

    def __init__(self, user_id: UserId, backend: Backend) -> None:
        super().__init__(user_id, backend)
        self._bounds = EVERYTHING
        self._descending = True

    def count(self) -> int:
        """Return the number of entries within the feed's filters. One round trip."""
        if self._bounds.is_empty:
            return 0
        return self.timelines.count(self.key, self._filter())

    def index_of(self, activity: ActivityLike) -> int:
        """Return the number of newer entries of the feed, regardless of its filters.

        Raises:
            ActivityNotFound: The feed does not hold the activity.
        """
        return self.timelines.index_of(self.key, activity)

    def contains(self, activity: ActivityLike) -> bool:
        """Return whether the feed holds an entry of an activity, regardless of its filters."""
        return self.timelines.contains(self.key, activity)

    def contains_many(self, activities: Iterable[ActivityLike]) -> set[int]:
        """Return the ids of those activities whose entries the feed holds."""
        return self.timelines.contains_many(self.key, activities)

    __contains__ = contains

    def filter(self, *, since: datetime | None = None, until: datetime | None = None, **filters: ActivityLike) -> Self:
        """Return a copy of the feed that reads only some entries; filters accumulate, and all are honoured.

        Args:
            since: The time of the oldest entries, included.
            until: The time of the newest entries, included.
            **filters: ``activity_id__lt``, ``activity_id__lte``, ``activity_id__gt``, ``activity_id__gte``.
        """
        known: Any = filters
        bounds = intersection(self._bounds, parse_filter(known, self.timelines.activity_to_id))
        if since is not None:
            bounds = intersection(bounds, Bounds(lowest=first_id_at(since)))
        if until is not None:
            bounds = intersection(bounds, Bounds(highest=last_id_at(until)))
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

    def _entry_page(
        self, limit: int, within: Bounds, descending: bool, hydrate_from: ActivityStorage[Any] | None = None
    ) -> Page[Any]:
        """Return a page of the feed's timeline that holds only entries whose ids lie in ``within``."""
        if within.is_empty:
            floor = self.timelines.get_page(self.key, 1).floor
            return Page([], None, self._is_whole(floor), floor)
        start = None
        if descending and within.highest < MAX_ID:
            start = encode_cursor(within.highest + 1, descending)
        elif not descending and within.lowest > 0:
            start = encode_cursor(within.lowest - 1, descending)
        ordering = ("-activity_id",) if descending else ("activity_id",)
        page = self.timelines.get_page(self.key, limit, start, ordering, hydrate_from=hydrate_from)
        if within.is_everything:
            return page
        items = [item for item in page.items if within.lowest <= item.serialization_id <= within.highest]
        following = page.next_cursor
        if following is not None and intersection(within, cursor_bounds(following, descending)).is_empty:
            following = None
        return Page(items, following, following is None and self._is_whole(page.floor), page.floor)

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

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.user_id!r}, {self.backend!r})"

    def subscribe(
        self, callback: Callable[[frozenset[str]], object], *, recheck_seconds: float | None = RECHECK_SECONDS
    ) -> Subscription:
        """Return a subscription that calls ``callback`` with the keys of the feed that may have changed.

        Writes of feeds whose class sets ``publishes`` reach it without delay; others reach it with the next
        recheck. The keys are the feed's own and those of its companions.
        """
        notifier = self.backend.notifier(self.timeline_name)
        subscription = notifier.subscribe(callback, recheck_seconds=recheck_seconds)
        subscription.add([self.key, *self._companion_keys()])
        return subscription

    def stream(self, live: Any, position: str | None = None) -> Response:
        """Return the response that streams the changes of the feed to a browser, as server-sent events.

        A request handler of Starlette or FastAPI returns it. Filters are not applied. Set ``publishes`` in the feed
        class, so that a write reaches the stream without delay.

        Args:
            live: The :class:`~feedstore.live.LiveTimelines` of the same backend.
            position: The id of the client's last event, after which the stream continues. None: it starts now.
        """
        # Streams need Starlette, which is optional.
        from feedstore.live import LiveTimelines, TimelineStream

        if not isinstance(live, LiveTimelines):
            raise InvalidTypeError(f"live must be feedstore.live.LiveTimelines(backend), not {shown(live)}")
        if (self.timeline_name, self.activity_name) != (DEFAULT_NAME, DEFAULT_NAME):
            raise InvalidValueError(
                f"{type(self).__name__} cannot be streamed: it lies in the collections {shown(self.timeline_name)} and "
                f"{shown(self.activity_name)}, and live timelines read the collections {shown(DEFAULT_NAME)}"
            )
        return TimelineStream(live, self.key, position)


def intersection(one: Bounds, other: Bounds) -> Bounds:
    """Return the ids that lie in both bounds."""
    return Bounds(max(one.lowest, other.lowest), min(one.highest, other.highest))


def filter_within(bounds: Bounds) -> Filter | None:
    """Return the filter of a read within bounds that are not empty; None if they are everything."""
    if bounds.is_everything:
        return None
    return {"activity_id__gte": max(bounds.lowest, 0), "activity_id__lte": min(bounds.highest, MAX_ID)}
