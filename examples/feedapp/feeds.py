"""The feeds of the application, and the manager that fills them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from feedstore.fanout import FeedManager, HomeFeed
from feedstore.feeds import BaseFeed, Feed, NotificationAggregator, NotificationFeed

POST, LIKE, COMMENT, FOLLOW = "post", "like", "comment", "follow"


class Home(HomeFeed):
    """The activities of the users that a user follows. Open pages are notified of each new one."""

    publishes = True


class Bell(NotificationFeed):
    """The likes, comments and follows that a user receives: one group for each verb and post."""

    key_format = "bell:{{{user_id}}}"
    aggregator = NotificationAggregator(window=None)


class Thread(Feed):
    """A post and all comments on it."""

    key_format = "thread:{user_id}"
    max_length = None


class Likes(Feed):
    """The likes of a post."""

    key_format = "likes:{user_id}"
    max_length = None


class SocialManager(FeedManager):
    """The manager: activities go to home feeds by follows, and to the other feeds by ``to=``."""

    feed_classes: ClassVar[Mapping[str, type[BaseFeed[Any]]]] = {"home": Home}
    target_feed_classes: ClassVar[Mapping[str, type[BaseFeed[Any]]]] = {
        "bell": Bell,
        "thread": Thread,
        "likes": Likes,
    }
    # A deleted post takes its likes, its comments and their notifications with it.
    index_objects = True
