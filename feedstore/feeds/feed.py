"""Flat feeds: one activity after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from feedstore.errors import InvalidValueError
from feedstore.feeds.base import BaseFeed
from feedstore.storage import ActivityStorage, Page
from feedstore.storage.checks import check_limit
from feedstore.storage.page import cursor_bounds

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
            page = self._entry_page(limit, within, self._descending, self._hydrated_from)
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

    def _read_slice(self, start: int, stop: int | None) -> list[Any]:
        if self._bounds.is_empty:
            return []
        ordering = ("-activity_id",) if self._descending else ("activity_id",)
        return self.timelines.get_slice(
            self.key, start, stop, self._filter(), ordering, hydrate_from=self._hydrated_from
        )
