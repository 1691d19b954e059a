"""A feed without the activities that a filter leaves out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

from feedstore.errors import InvalidTypeError
from feedstore.fanout.follow_graph import FollowGraph
from feedstore.fanout.merged_feed import MergedFeed
from feedstore.feeds import Feed, UserId
from feedstore.serializers.base import Item
from feedstore.shown import shown
from feedstore.storage import Page
from feedstore.storage.checks import check_limit
from feedstore.storage.page import encode_cursor

_BUDGET = 500


class ActivityFilter(ABC):
    """A filter that decides about the activities of a page together, so that it can ask a store once for all."""

    @abstractmethod
    def keep(self, activities: Sequence[Any]) -> list[Any]:
        """Return the activities that readers may see, in their order."""


class HiddenActors(ActivityFilter):
    """A filter that leaves out actors that a reader has blocked or muted, and actors that have blocked the reader.

    One round trip for each read of a page, however many actors are blocked.

    Args:
        graph: The follow graph with the blocks and mutes.
        reader: The reader.
    """

    def __init__(self, graph: FollowGraph, reader: UserId) -> None:
        if not isinstance(graph, FollowGraph):
            raise InvalidTypeError(f"graph must be a FollowGraph, not {shown(graph)}")
        self.graph = graph
        self.reader = reader

    def keep(self, activities: Sequence[Any]) -> list[Any]:
        """Return the activities of the other actors."""
        hidden = self.graph.hidden_among(self.reader, {one.actor for one in activities})
        return [one for one in activities if one.actor not in hidden] if hidden else list(activities)


class _Predicate(ActivityFilter):
    """A filter of one function for one activity."""

    def __init__(self, predicate: Callable[[Any], object]) -> None:
        self.predicate = predicate

    def keep(self, activities: Sequence[Any]) -> list[Any]:
        return [one for one in activities if self.predicate(one)]


@dataclass(frozen=True)
class FilteredPage(Page[Item]):
    """A page of a filtered feed.

    Attributes:
        budget_ended: Whether the budget of entries ended the page before it was full. More entries may follow:
            continue with ``next_cursor``.
    """

    budget_ended: bool = False

    def to_dict(self, item_to_dict: Callable[[Any], Any] | None = None) -> dict[str, Any]:
        """Return the page as JSON values: those of a page, and ``budget_ended``."""
        return {**super().to_dict(item_to_dict), "budget_ended": self.budget_ended}


class FilteredFeed:
    """A flat or merged feed without the activities that a filter leaves out.

    A page is filled with the activities after the ones that were left out. So that a reader who hides nearly everything
    cannot make a page read the whole feed, a page reads at most ``budget`` entries, and says if that ended it.

    Args:
        feed: A :class:`~feedstore.feeds.Feed` or a :class:`MergedFeed`, with its filters and its ordering.
        keep: A function that returns whether an activity is shown, or an :class:`ActivityFilter` such as
            :class:`HiddenActors`. If it raises, the page raises the same error, and the call can be repeated.
        budget: The most entries that one page reads.

    >>> from feedstore import Activity, connect
    >>> feed = Feed("bob", connect("memory://"))
    >>> deeds = [Activity(actor, "like", f"photo:{number}") for number in range(3) for actor in ("ann", "eve")]
    >>> feed.insert_activities(deeds), feed.add_many(deeds)
    (6, 6)
    >>> page = FilteredFeed(feed, lambda activity: activity.actor != "eve").page(2)
    >>> [(one.actor, one.object) for one in page], page.budget_ended
    ([('ann', 'photo:2'), ('ann', 'photo:1')], False)
    """

    def __init__(
        self, feed: Feed | MergedFeed, keep: ActivityFilter | Callable[[Any], object], *, budget: int = _BUDGET
    ) -> None:
        if not isinstance(feed, (Feed, MergedFeed)):
            raise InvalidTypeError(f"a filtered feed reads a flat or a merged feed, not {shown(feed)}")
        if not isinstance(keep, ActivityFilter) and not callable(keep):
            raise InvalidTypeError(f"keep must be a function or an ActivityFilter, not {shown(keep)}")
        self.feed = feed
        self.kept = keep if isinstance(keep, ActivityFilter) else _Predicate(keep)
        self.budget = check_limit("budget", budget)
        self.backend, self.key = feed.backend, feed.key

    def page(self, limit: int, cursor: str | None = None) -> FilteredPage[Any]:
        """Return the next ``limit`` activities that the filter keeps.

        A walk by ``next_cursor`` returns each of them once. The page is complete if the feed ends with it and was never
        trimmed. As many reads as it takes, each twice as long as the one before: O(log(budget / limit)).
        """
        check_limit("limit", limit)
        items: list[Any] = []
        left, length = self.budget, limit
        while True:
            length = min(length, left)
            page = self.feed.page(length, cursor)
            items += self.kept.keep(page.items)
            cursor, left = page.next_cursor, left - length
            if len(items) > limit:
                cursor = encode_cursor(items[limit - 1].serialization_id, self.feed._descending)
                return FilteredPage(items[:limit], cursor, False, page.floor)
            if cursor is None or len(items) == limit or left == 0:
                is_cut = cursor is not None and len(items) < limit
                return FilteredPage(items, cursor, page.complete, page.floor, is_cut)
            length *= 2

    def filter(self, **filters: Any) -> Self:
        """Return a filtered feed of the feed with filters; see :meth:`feedstore.feeds.BaseFeed.filter`."""
        return type(self)(self.feed.filter(**filters), self.kept, budget=self.budget)

    def order_by(self, *ordering: str) -> Self:
        """Return a filtered feed of the feed in another order; see :meth:`feedstore.feeds.BaseFeed.order_by`."""
        return type(self)(self.feed.order_by(*ordering), self.kept, budget=self.budget)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.feed!r}, {self.kept!r}, budget={self.budget})"
