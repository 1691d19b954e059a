"""Feeds over any backend."""

from feedstore.feeds.base import BaseFeed
from feedstore.feeds.feed import Feed
from feedstore.feeds.key_format import KeyFormat, UserId

__all__ = ["BaseFeed", "Feed", "KeyFormat", "UserId"]
