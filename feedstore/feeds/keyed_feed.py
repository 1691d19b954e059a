"""Feeds of any class, for programs that know only the keys of timelines."""

from __future__ import annotations

from feedstore.errors import NotFoundError, StoredDataError
from feedstore.feeds.aggregators import FunctionAggregator
from feedstore.feeds.feed import Feed
from feedstore.feeds.notification_feed import NotificationFeed
from feedstore.shown import shown
from feedstore.storage import Backend, Bounds
from feedstore.storage.bounds import EVERYTHING


class KeyedFeed(Feed):
    """A flat feed of any class."""

    max_length = None


class KeyedGroupFeed(NotificationFeed):
    """An aggregated feed of any class, with its marks if it has them.

    The stored hashes decide its groups. The names of the groups are not known. If nothing is unseen or unread,
    ``is_seen`` and ``is_read`` are None, because the feed may be one without marks.
    """

    max_length = None
    max_per_group = None
    aggregator = FunctionAggregator(lambda activity: activity.verb)

    def _marked_ids(self, within: Bounds) -> dict[str, set[int]]:
        """Return the ids in each companion, or nothing if both are empty.

        They are empty in a feed without marks, and in one in which everything is marked as seen and read.
        """
        marked = super()._marked_ids(EVERYTHING)
        return marked if any(marked.values()) else {}


def feed_at(key: str, backend: Backend) -> KeyedFeed | KeyedGroupFeed:
    """Return the feed whose timeline has a key: an aggregated one if its newest entry has the hash of a group.

    Raises:
        NotFoundError: The timeline holds no entry.
    """
    groups = KeyedGroupFeed.at_key(key, backend)
    try:
        newest = groups.timelines.get_slice(key, 0, 1)
    except StoredDataError:
        return KeyedFeed.at_key(key, backend)
    if not newest:
        raise NotFoundError(f"no feed {shown(key)} in the namespace {shown(backend.namespace)}")
    return groups
