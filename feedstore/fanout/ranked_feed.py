"""The newest activities of a feed in the order of a score."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any, NamedTuple, NoReturn, Self

from feedstore.errors import InvalidCursorError, InvalidTypeError, InvalidValueError
from feedstore.fanout.filtered_feed import FilteredFeed
from feedstore.fanout.merged_feed import MergedFeed
from feedstore.feeds import Feed
from feedstore.feeds.groups import hash_of
from feedstore.feeds.reads import FeedReads
from feedstore.ids import id_from_bytes, id_to_bytes, id_to_text, microseconds_of, time_from_microseconds
from feedstore.shown import shown
from feedstore.storage import Page
from feedstore.storage.checks import check_limit
from feedstore.storage.page import altered_cursor, decode_checked, encode_checked

Score = Callable[[Any, datetime], float]
"""A function of an activity and of the time of the walk. It must return the same number for the same arguments."""

_WINDOW = 500
_CURSOR_VERSION = 0x52
_CURSOR = struct.Struct(">B8s16s16sQ?d16s")


class _Walk(NamedTuple):
    """The state of a walk: the window, the time of its scores, and the last item that was returned."""

    newest: int
    oldest: int
    now: datetime
    is_whole: bool
    last: tuple[float, int] | None = None


class RankedFeed(FeedReads[Any]):
    """The newest ``window`` activities of a feed, those with the highest score first, and of equal scores the newest.

    The cursor holds the ends of the window and the time of the first page. So a walk scores all its pages at one time,
    and activities that arrive during the walk shift no page. If the score of an activity or the activity itself changes
    during a walk, the walk may leave it out or return it twice.

    Args:
        feed: A :class:`~feedstore.feeds.Feed`, a :class:`MergedFeed` or a :class:`FilteredFeed`, newest first.
        score: A function of an activity and of the time of the walk, such as a :class:`Decay`.
        window: The number of newest entries that are scored. Each page reads all of them.

    >>> from datetime import timedelta
    >>> from feedstore import Activity, connect
    >>> from feedstore.fanout import ExponentialDecay
    >>> feed = Feed("bob", connect("memory://"))
    >>> posts = [Activity("ann", "post", f"photo:{likes}", extra_context={"likes": likes}) for likes in (3, 9, 1)]
    >>> feed.insert_activities(posts), feed.add_many(posts)
    (3, 3)
    >>> decay = ExponentialDecay(timedelta(hours=12))
    >>> ranked = RankedFeed(feed, lambda post, now: post.extra_context["likes"] * decay(post, now))
    >>> [post.object for post in ranked.page(2)]
    ['photo:9', 'photo:3']
    """

    def __init__(self, feed: Feed | MergedFeed | FilteredFeed, score: Score, *, window: int = _WINDOW) -> None:
        if not isinstance(feed, (Feed, MergedFeed, FilteredFeed)):
            raise InvalidTypeError(f"a ranked feed reads a flat, merged or filtered feed, not {shown(feed)}")
        if not callable(score):
            raise InvalidTypeError(f"score must be a function of an activity and a time, not {shown(score)}")
        if not (feed.feed if isinstance(feed, FilteredFeed) else feed)._descending:
            raise InvalidValueError(f"a ranked feed reads the newest entries; pass {shown(feed)} newest first")
        self.feed = feed
        self.score = score
        self.window = check_limit("window", window)
        self.backend, self.key = feed.backend, feed.key

    def page(self, limit: int, cursor: str | None = None, *, now: datetime | None = None) -> Page[Any]:
        """Return the next ``limit`` activities of a walk.

        The page is complete if it is the last, and the window holds the whole feed, which was never trimmed.

        Args:
            limit: The maximum number of activities.
            cursor: The ``next_cursor`` of the page before.
            now: The time of the scores of a new walk; by default the current time. A cursor has its own.
        """
        check_limit("limit", limit)
        if cursor is not None and now is not None:
            raise InvalidValueError("now belongs to the first page of a walk; the cursor holds it for the others")
        walk = None if cursor is None else self._decoded(cursor)
        page, walk = self._scored_window(walk, now)
        ranked = self._ranked(page.items, walk.now)
        if walk.last is not None:
            ranked = [one for one in ranked if one[0] > walk.last]
        items = [activity for _, activity in ranked[:limit]]
        following = None
        if len(ranked) > limit:
            following = self._encoded(walk._replace(last=ranked[limit - 1][0]))
        return Page(items, following, following is None and walk.is_whole and page.complete, page.floor)

    def filter(self, **filters: Any) -> Self:
        """Return a ranked feed of the feed with filters; see :meth:`feedstore.feeds.BaseFeed.filter`."""
        return type(self)(self.feed.filter(**filters), self.score, window=self.window)

    def order_by(self, *ordering: str) -> NoReturn:
        """Raise, because the score decides the order."""
        raise InvalidValueError(f"a ranked feed is ordered by its score, not by {shown(ordering)}; negate the score")

    def _scored_window(self, walk: _Walk | None, now: datetime | None) -> tuple[Page[Any], _Walk]:
        """Return the activities of the window, and the walk that a page continues or begins."""
        if walk is not None:
            within = self.feed.filter(activity_id__lte=walk.newest, activity_id__gte=walk.oldest)
            return within.page(self.window), walk
        page = self.feed.page(self.window)
        # A cursor holds whole microseconds.
        time = time_from_microseconds(microseconds_of(now or datetime.now(timezone.utc)))
        ids = [one.serialization_id for one in page.items] or [0]
        return page, _Walk(ids[0], ids[-1], time, page.complete)

    def _ranked(self, activities: list[Any], now: datetime) -> list[tuple[tuple[float, int], Any]]:
        """Return activities with the keys of their order."""
        ranked = [((-self._checked_score(one, now), -one.serialization_id), one) for one in activities]
        return sorted(ranked, key=lambda pair: pair[0])

    def _checked_score(self, activity: Any, now: datetime) -> float:
        score = self.score(activity, now)
        try:
            number = float(score)
        except (TypeError, ValueError, OverflowError) as error:
            raise InvalidTypeError(
                f"{self._score_of(activity)} is {shown(score)}, which is no float: {error}"
            ) from None
        if math.isnan(number):
            raise InvalidValueError(f"{self._score_of(activity)} is not a number; return a float that can be ordered")
        return number

    @staticmethod
    def _score_of(activity: Any) -> str:
        return f"the score of activity {id_to_text(activity.serialization_id)}"

    def _measured(self, start: int, stop: int | None) -> list[Any]:
        # The feed that is ranked reports its reads itself.
        return self._read_slice(start, stop)

    def _read_slice(self, start: int, stop: int | None) -> list[Any]:
        page, walk = self._scored_window(None, None)
        return [activity for _, activity in self._ranked(page.items, walk.now)[start:stop]]

    def _encoded(self, walk: _Walk) -> str:
        score, negative_id = walk.last or (0.0, 0)
        ends = id_to_bytes(walk.newest), id_to_bytes(walk.oldest)
        time, last_id = microseconds_of(walk.now), id_to_bytes(-negative_id)
        return encode_checked(
            _CURSOR.pack(_CURSOR_VERSION, hash_of(self.key), *ends, time, walk.is_whole, score, last_id)
        )

    def _decoded(self, cursor: str) -> _Walk:
        body = decode_checked(cursor)
        if len(body) != _CURSOR.size or body[0] != _CURSOR_VERSION:
            raise altered_cursor(cursor)
        _, key_hash, newest, oldest, time, is_whole, score, last_id = _CURSOR.unpack(body)
        if key_hash != hash_of(self.key):
            raise InvalidCursorError(
                f"the cursor {shown(cursor, 64)} belongs to another feed than {shown(self.key)}; pass the feed of its "
                "page"
            )
        last = (score, -id_from_bytes(last_id))
        return _Walk(id_from_bytes(newest), id_from_bytes(oldest), time_from_microseconds(time), is_whole, last)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.feed!r}, {self.score!r}, window={self.window})"
