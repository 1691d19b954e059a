"""Flat feeds: one activity after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from feedstore.errors import InvalidValueError
from feedstore.feeds.base import BaseFeed
from feedstore.ids import MAX_ID
from feedstore.storage import ActivityStorage, Bounds, Page
from feedstore.storage.bounds import NEWEST_FIRST, OLDEST_FIRST
from feedstore.storage.checks import check_limit
from feedstore.storage.page import cursor_bounds, encode_cursor

if TYPE_CHECKING:
    from starlette.responses import Response


class Feed(BaseFeed[Any]):
    """A feed that shows activities, newest first.

    By default its timeline keeps ids, and a read fetches the activities beside them; those that are gone are left out,
    so a read may return fewer than it was asked for. With ``serializer_class``, such as
    :class:`~feedstore.serializers.MsgpackSerializer`, the timeline keeps a copy of each activity, and a read needs no
    other storage: one round trip on every backend, at the price of the memory and of copies that no edit reaches.

    >>> from feedstore import Activity, connect
    >>> class HomeFeed(Feed):
    ...     key_format = "home:{user_id}"
    >>> home = HomeFeed("bob", connect("memory://"))
    >>> like = Activity("ann", "like", "photo:7")
    >>> home.insert_activity(like), home.add(like)
    (1, 1)
    >>> home[:10] == [like]
    True
    """

    @property
    def _hydrated_from(self) -> ActivityStorage[Any] | None:
        return self.activities if self.serializer_class is None else None

    def page(self, limit: int, cursor: str | None = None) -> Page[Any]:
        """Return up to ``limit`` activities after ``cursor`` as a :class:`~feedstore.storage.Page`.

        A walk by ``next_cursor`` returns every entry once that is there throughout it (T16). Round trips as
        ``get_page`` of a timeline storage.
        """
        check_limit("limit", limit)
        within = self._bounds.intersection(cursor_bounds(cursor, self._descending))
        with self.backend.metrics.feed_reads_timer(type(self)):
            page = self._page_within(limit, within)
        self.backend.metrics.on_feed_read(type(self), len(page))
        return page

    def stream(self, live: Any, position: str | None = None) -> Response:
        """Return the response that streams the changes of the feed; a feed of copies is refused.

        Live timelines read the activity storage, and copies are in the timeline only.
        """
        if self.serializer_class is not None:
            raise InvalidValueError(
                f"{type(self).__name__} cannot be streamed: its timeline holds copies of activities "
                f"({self.serializer_class.__name__}), and live timelines read activities from the activity storage"
            )
        return super().stream(live, position)

    def _page_within(self, limit: int, within: Bounds) -> Page[Any]:
        """Return a page of the feed's timeline that holds only entries whose ids lie in ``within``."""
        descending = self._descending
        if within.is_empty:
            floor = self.timelines.get_page(self.key, 1).floor
            return Page([], None, self._is_whole(floor), floor)
        start = None
        if descending and within.highest < MAX_ID:
            start = encode_cursor(within.highest + 1, descending)
        elif not descending and within.lowest > 0:
            start = encode_cursor(within.lowest - 1, descending)
        ordering = NEWEST_FIRST if descending else OLDEST_FIRST
        page = self.timelines.get_page(self.key, limit, start, ordering, hydrate_from=self._hydrated_from)
        if within.is_everything:
            return page
        items = [item for item in page.items if within.lowest <= item.serialization_id <= within.highest]
        following = page.next_cursor
        if following is not None and within.intersection(cursor_bounds(following, descending)).is_empty:
            following = None
        return Page(items, following, following is None and self._is_whole(page.floor), page.floor)

    def _read_slice(self, start: int, stop: int | None) -> list[Any]:
        if self._bounds.is_empty:
            return []
        ordering = NEWEST_FIRST if self._descending else OLDEST_FIRST
        return self.timelines.get_slice(
            self.key, start, stop, self._filter(), ordering, hydrate_from=self._hydrated_from
        )
