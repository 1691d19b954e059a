"""Feeds over any backend: the timelines of users, read as activities or as groups of activities."""

from feedstore.feeds.aggregated_feed import AggregatedFeed, GroupLike
from feedstore.feeds.aggregators import (
    Aggregator,
    FunctionAggregator,
    NotificationAggregator,
    RecentVerbAggregator,
    TemplateAggregator,
    WindowAggregator,
)
from feedstore.feeds.base import BaseFeed
from feedstore.feeds.feed import Feed
from feedstore.feeds.groups import EntryGroup, GroupEntry, GroupSerializer
from feedstore.feeds.key_format import KeyFormat, UserId
from feedstore.feeds.notification_feed import NotificationCounts, NotificationFeed

__all__ = [
    "AggregatedFeed",
    "Aggregator",
    "BaseFeed",
    "EntryGroup",
    "Feed",
    "FunctionAggregator",
    "GroupEntry",
    "GroupLike",
    "GroupSerializer",
    "KeyFormat",
    "NotificationAggregator",
    "NotificationCounts",
    "NotificationFeed",
    "RecentVerbAggregator",
    "TemplateAggregator",
    "UserId",
    "WindowAggregator",
]
