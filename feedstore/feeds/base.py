"""The part that all feeds of one timeline share: a key, writes, counts and streams."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from feedstore.errors import InvalidTypeError, InvalidValueError
from feedstore.feeds.key_format import UserId
from feedstore.feeds.reads import FeedReads, Shown
from feedstore.feeds.writes import FeedWrites
from feedstore.ids import MAX_ID, ActivityLike
from feedstore.shown import shown
from feedstore.storage import ActivityStorage, Backend, Page, Subscription
from feedstore.storage.bounds import EVERYTHING, Bounds
from feedstore.storage.checks import DEFAULT_NAME
from feedstore.storage.notify.subscription import RECHECK_SECONDS
from feedstore.storage.page import cursor_bounds, encode_cursor

if TYPE_CHECKING:
    from starlette.responses import Response


class BaseFeed(FeedWrites, FeedReads[Shown]):
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
        if following is not None and within.intersection(cursor_bounds(following, descending)).is_empty:
            following = None
        return Page(items, following, following is None and self._is_whole(page.floor), page.floor)

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
