"""The part that all feeds of one timeline share: a key, writes, counts and streams."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from feedstore.errors import InvalidTypeError, InvalidValueError
from feedstore.feeds.reads import FeedReads, Shown
from feedstore.feeds.writes import FeedWrites
from feedstore.ids import ActivityLike
from feedstore.shown import shown
from feedstore.storage import Subscription
from feedstore.storage.checks import DEFAULT_NAME
from feedstore.storage.notify.subscription import RECHECK_SECONDS

if TYPE_CHECKING:
    from starlette.responses import Response


class BaseFeed(FeedWrites, FeedReads[Shown]):
    """One user's feed on a backend: a timeline, and the activities that its entries refer to.

    Subclass :class:`~feedstore.feeds.Feed` and set its attributes. A feed object holds only names, so create one for
    each request. Adding an entry for an activity does not store the activity: call :meth:`insert_activity` first, or
    both in one batch.
    """

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
