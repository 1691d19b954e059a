"""Feeds over any backend: the timelines of users, read as activities."""

from feedstore.feeds.base import BaseFeed
from feedstore.feeds.feed import Feed
from feedstore.feeds.key_format import KeyFormat, UserId
from feedstore.feeds.writes import FeedWrites

__all__ = ["BaseFeed", "Feed", "FeedWrites", "KeyFormat", "UserId"]
