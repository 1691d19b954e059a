"""The groups and the badge of an aggregated feed, as a document for the viewer's page."""

from __future__ import annotations

from typing import Any

from feedstore.errors import NotFoundError
from feedstore.feeds.keyed_feed import KeyedGroupFeed, feed_at
from feedstore.ids import id_to_text
from feedstore.rendering import SentenceRenderer
from feedstore.storage import Backend

_GROUPS = 25


def groups_document(key: str, backend: Backend) -> dict[str, Any] | None:
    """Return the newest groups of a feed and the numbers of unseen and unread activities; None for a flat feed.

    Six round trips.
    """
    try:
        feed = feed_at(key, backend)
    except NotFoundError:
        return None
    if not isinstance(feed, KeyedGroupFeed):
        return None
    render = SentenceRenderer().render
    return {
        "unseen": feed.unseen_count(),
        "unread": feed.unread_count(),
        "groups": [
            {
                "id": id_to_text(group.id),
                "sentence": render(group),
                "activities": group.activity_count,
                "seen": group.is_seen,
                "read": group.is_read,
            }
            for group in feed[:_GROUPS]
        ],
    }
