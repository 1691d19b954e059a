"""Several flat feeds, read as one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from feedstore.errors import ActivityNotFound, InvalidTypeError, InvalidValueError
from feedstore.feeds import Feed
from feedstore.feeds.reads import FeedReads, filter_within, id_of
from feedstore.ids import ActivityLike, id_to_text
from feedstore.shown import shown
from feedstore.storage import ActivityStorage, Bounds, Page, Subscription, TimelineStorage
from feedstore.storage.bounds import NEWEST_FIRST, OLDEST_FIRST
from feedstore.storage.checks import check_limit, checked_iterable
from feedstore.storage.notify.subscription import RECHECK_SECONDS
from feedstore.storage.page import cursor_bounds

# A page reads one entry more, and a script of Redis reads at most 1,000 entries with payloads.
_MOST_AT_ONCE = 999
_COMMON = ("timeline_name", "serializer_class", "activity_name", "activity_class")


class MergedFeed(FeedReads[Any]):
    """A feed that shows the entries of several flat feeds in one order, each once.

    It serves readers whose home feed holds a part of the activities: the home feed comes first, then the own feeds of
    the producers whose activities are not pushed. Ids have the same order in all timelines, so one cursor continues all
    of them. The object holds only names; nothing is stored. It has the reads of :class:`~feedstore.feeds.Feed`, and no
    writes.

    Args:
        feeds: Objects of :class:`~feedstore.feeds.Feed` without filters, on one backend, whose classes agree in
            ``timeline_name``, ``serializer_class``, ``activity_name`` and ``activity_class``. A feed that comes twice
            counts once.

    >>> from feedstore import Activity, connect
    >>> class HomeFeed(Feed):
    ...     key_format = "home:{user_id}"
    >>> class UserFeed(Feed):
    ...     key_format = "user:{user_id}"
    >>> backend = connect("memory://")
    >>> home, star = HomeFeed("bob", backend), UserFeed("star", backend)
    >>> like, post = Activity("ann", "like", "photo:7"), Activity("star", "post", "photo:8")
    >>> home.insert_activities([like, post]), home.add(like), star.add(post)
    (2, 1, 1)
    >>> [activity.verb for activity in MergedFeed([home, star])[:10]]
    ['post', 'like']
    """

    def __init__(self, feeds: Iterable[Feed]) -> None:
        given = list(checked_iterable(feeds))
        if not given:
            raise InvalidValueError("a merged feed needs at least one feed; pass the home feed of the reader first")
        first = given[0]
        for feed in given:
            _check_source(feed, first)
        self.feeds: tuple[Feed, ...] = tuple({feed.key: feed for feed in given}.values())
        self.backend, self.key = first.backend, first.key
        self.timelines: TimelineStorage[Any] = first.timelines
        self.activities: ActivityStorage[Any] = first.activities
        self._keys = [feed.key for feed in self.feeds]
        self._hydrated_from = first._hydrated_from

    def page(self, limit: int, cursor: str | None = None) -> Page[Any]:
        """Return up to ``limit`` activities after ``cursor`` as a :class:`~feedstore.storage.Page`.

        A walk by ``next_cursor`` returns every entry once that is in any of the feeds throughout it (T16). The floor is
        the newest of the floors of the feeds. The page is complete if it is the last, and the floor does not lie within
        the filters. Round trips as ``get_merged_page`` of a timeline storage: a bounded number for any number of feeds.
        """
        check_limit("limit", limit)
        with self.backend.metrics.feed_reads_timer(type(self)):
            page: Page[Any] = self._page(limit, cursor, self._bounds, self._hydrated_from)
        self.backend.metrics.on_feed_read(type(self), len(page))
        return page

    def count(self) -> int:
        """Return the number of distinct entries within the feed's filters. It reads all of them, 999 at a time."""
        return sum(len(page) for page in self._pages(self._bounds))

    def index_of(self, activity: ActivityLike) -> int:
        """Return the number of newer distinct entries, regardless of the filters. It reads them, 999 at a time.

        Raises:
            ActivityNotFound: No feed holds the activity.
        """
        if not self.contains(activity):
            raise ActivityNotFound(f"the merged feed {shown(self.key)} holds no activity {id_to_text(id_of(activity))}")
        return sum(len(page) for page in self._pages(Bounds(lowest=id_of(activity) + 1)))

    def contains(self, activity: ActivityLike) -> bool:
        """Return whether any of the feeds holds an entry of an activity, regardless of the filters."""
        return bool(self.contains_many([activity]))

    def contains_many(self, activities: Iterable[ActivityLike]) -> set[int]:
        """Return the ids of those activities whose entries any of the feeds holds.

        One read of all feeds for each activity, or one of each feed for all activities: the smaller number.
        """
        ids = list(dict.fromkeys(self.timelines.activities_to_ids(activities)))
        if len(ids) > len(self._keys):
            return set().union(*(self.timelines.contains_many(key, ids) for key in self._keys))
        return {one for one in ids if any(self.timelines.get_many_slices(self._keys, 0, 1, _exactly(one)).values())}

    __contains__ = contains

    def subscribe(
        self, callback: Callable[[frozenset[str]], object], *, recheck_seconds: float | None = RECHECK_SECONDS
    ) -> Subscription:
        """Return a subscription that calls ``callback`` with the keys of those feeds that may have changed.

        Writes of feeds whose class sets ``publishes`` reach it without delay; others reach it with the next recheck.
        """
        notifier = self.backend.notifier(self.feeds[0].timeline_name)
        subscription = notifier.subscribe(callback, recheck_seconds=recheck_seconds)
        subscription.add(self._keys)
        return subscription

    def _page(self, limit: int, cursor: str | None, within: Bounds, hydrate_from: ActivityStorage[Any] | None) -> Any:
        if within.is_empty:
            cursor_bounds(cursor, self._descending)
            floor = self.timelines.get_merged_page(self._keys, 1).floor
            return Page([], None, self._is_whole(floor), floor)
        ordering = NEWEST_FIRST if self._descending else OLDEST_FIRST
        return self.timelines.get_merged_page(
            self._keys, limit, cursor, filter_within(within), ordering, hydrate_from=hydrate_from
        )

    def _pages(self, within: Bounds) -> Iterator[Page[Any]]:
        """Yield all entries within bounds, as the timelines hold them."""
        cursor = None
        while True:
            page = self._page(_MOST_AT_ONCE, cursor, within, None)
            yield page
            cursor = page.next_cursor
            if cursor is None:
                return

    def _read_slice(self, start: int, stop: int | None) -> list[Any]:
        if stop is not None and stop <= start:
            return []
        if start == 0 and stop is not None and stop <= _MOST_AT_ONCE:
            items: list[Any] = self._page(stop, None, self._bounds, self._hydrated_from).items
            return items
        entries = []
        for page in self._pages(self._bounds):
            entries += page.items
            if stop is not None and len(entries) >= stop:
                break
        part = entries[start:stop]
        return part if self._hydrated_from is None else self.activities.get_many(part)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({shown(self.key)} and {len(self.feeds) - 1} more, {self.backend!r})"


def _exactly(activity_id: int) -> Any:
    return filter_within(Bounds(activity_id, activity_id))


def _check_source(feed: Any, first: Feed) -> None:
    """Raise unless a feed can be merged with the first one."""
    if not isinstance(feed, Feed):
        raise InvalidTypeError(
            f"a merged feed reads flat feeds, objects of feedstore.feeds.Feed, not {shown(feed)} of type "
            f"{type(feed).__name__}"
        )
    if not feed._bounds.is_everything or not feed._descending:
        raise InvalidValueError(
            f"{shown(feed)} has a filter or an ordering of its own; apply it to the merged feed instead"
        )
    if feed.backend is not first.backend:
        raise InvalidValueError(f"{shown(feed)} has another backend than {shown(first)}; pass feeds of one backend")
    name = _difference(type(feed), type(first))
    if name is not None:
        raise InvalidValueError(
            f"{type(feed).__name__} and {type(first).__name__} cannot be merged, because their {name} differs: "
            f"{shown(getattr(feed, name))} and {shown(getattr(first, name))}"
        )


def can_merge(one: type[Any], other: type[Any]) -> bool:
    """Return whether feeds of two classes can be merged."""
    return issubclass(one, Feed) and issubclass(other, Feed) and _difference(one, other) is None


def _difference(one: type[Feed], other: type[Feed]) -> str | None:
    """Return the name of an attribute in which two classes must agree and differ, or None."""
    if one is other:
        return None
    return next((name for name in _COMMON if getattr(one, name) != getattr(other, name)), None)
