"""The feed classes of a manager by name, and the targets that name their feeds."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from feedstore.errors import InvalidTypeError, InvalidValueError
from feedstore.fanout.publications import USER_FEED, Route
from feedstore.feeds import BaseFeed, Feed, UserId
from feedstore.feeds.key_format import user_text
from feedstore.shown import shown
from feedstore.storage.checks import checked_iterable

FeedClass = type[BaseFeed[Any]]
Target = str | tuple[str, UserId]
"""A feed: ``"notifications:bob"`` or ``("notifications", "bob")``, with the name of its class in the manager."""
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}", re.ASCII)


class HomeFeed(Feed):
    """The feed of everything that a user follows, newest first; the default of managers."""

    key_format = "home:{user_id}"


class UserFeed(Feed):
    """The feed of a user's own activities, untrimmed; the default of managers."""

    key_format = "user:{user_id}"
    max_length = None


class FeedClasses:
    """The checked feed classes of a manager.

    Args:
        followers: the classes of the feeds to which activities of followed users go, by name.
        user: the class of the feed of a user's own activities.
        targets: the classes of further feeds, to which activities go by ``to=`` alone, by name.
    """

    def __init__(self, followers: Mapping[str, FeedClass], user: FeedClass, targets: Mapping[str, FeedClass]) -> None:
        self.user = _checked_class("user_feed_class", user)
        self.followers = {name: _checked_class("feed_classes", one) for name, one in _items("feed_classes", followers)}
        others = {
            name: _checked_class("target_feed_classes", one) for name, one in _items("target_feed_classes", targets)
        }
        if not self.followers:
            raise InvalidValueError("feed_classes is empty; pass at least one class, such as {'normal': HomeFeed}")
        if self.followers.keys() & others:
            raise InvalidValueError("a name is in both feed_classes and target_feed_classes; give each class its own")
        self.by_name: dict[str, FeedClass] = {USER_FEED: self.user, **self.followers, **others}
        self.names = tuple(self.followers)
        self.personal = {**self.followers, **others}
        # The entries of these hold more than ids.
        self.copying = tuple(name for name, one in self.by_name.items() if one.serializer_class is not None)
        self._check_collections()

    def _check_collections(self) -> None:
        keys: dict[tuple[str, str], str] = {}
        for name, one in self.by_name.items():
            if (one.activity_name, one.activity_class) != (self.user.activity_name, self.user.activity_class):
                raise InvalidValueError(
                    f"the feed class {shown(name)} reads other activities than user_feed_class; give both the same "
                    "activity_name and activity_class"
                )
            other = keys.setdefault((one.timeline_name, one._keys.key("x")), name)
            if other != name:
                raise InvalidValueError(
                    f"the feed classes {shown(other)} and {shown(name)} have the same keys; give each a key_format of "
                    "its own"
                )

    def class_of(self, name: str) -> FeedClass:
        """Return the feed class of a name, or raise :class:`InvalidValueError`."""
        if name not in self.by_name:
            raise InvalidValueError(f"{shown(name)} names no feed class; the names are {', '.join(self.by_name)}")
        return self.by_name[name]

    def routes(self, targets: Iterable[Target], reaches_followers: bool) -> list[Route]:
        """Return the routes of targets, each once.

        Raises:
            InvalidTypeError: ``targets`` is a single str, or a target has the wrong type.
            InvalidValueError: A target names no feed class.
        """
        found: dict[tuple[str, str], Route] = {}
        for target in checked_iterable(targets):
            name, user = self._parsed(target)
            found[name, user] = Route(name, user, reaches_followers and name == USER_FEED)
        return list(found.values())

    def _parsed(self, target: Target) -> tuple[str, str]:
        if isinstance(target, str):
            name, colon, user = target.partition(":")
            parts: tuple[Any, ...] = (name, user) if colon else (target,)
        else:
            parts = tuple(target) if isinstance(target, (tuple, list)) else ()
        if len(parts) != 2 or not isinstance(parts[0], str):
            raise InvalidTypeError(f"a target is 'name:user' or (name, user), not {shown(target)}")
        if parts[0] not in self.by_name:
            raise InvalidValueError(
                f"the target {shown(target)} names no feed class; the names are {', '.join(self.by_name)}"
            )
        return parts[0], user_text(parts[1])


def _items(what: str, classes: Any) -> Iterable[tuple[str, Any]]:
    if not isinstance(classes, Mapping):
        raise InvalidTypeError(f"{what} must be a mapping such as {{'normal': HomeFeed}}, not {shown(classes)}")
    for name in classes:
        if not isinstance(name, str) or not _NAME.fullmatch(name) or name == USER_FEED:
            raise InvalidValueError(
                f"{what} has the name {shown(name)}; a name is 1 to 32 characters of a-z, 0-9, _ and -, a letter "
                f"first, and not {shown(USER_FEED)}"
            )
    return classes.items()


def _checked_class(what: str, value: Any) -> FeedClass:
    if not isinstance(value, type) or not issubclass(value, BaseFeed):
        raise InvalidTypeError(f"{what} must hold subclasses of feedstore.feeds.Feed, not {shown(value)}")
    return value
