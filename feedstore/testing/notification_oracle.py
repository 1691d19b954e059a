"""Random operations on a notification feed, compared with a model."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import ClassVar

from feedstore.activity import Activity
from feedstore.feeds import NotificationFeed
from feedstore.storage import Backend
from feedstore.testing.aggregated_feed_suite import deed

MOST = 4
LONGEST = 14
DEEDS = 60
PHOTOS = 5


class ClippedNotifications(NotificationFeed):
    """A feed that keeps few members of each group."""

    key_format = "clipped:{{{user_id}}}"
    aggregator = "{extra_context[photo]}"
    max_length: ClassVar[int | None] = None
    max_per_group = MOST
    publishes = False


class ShortNotifications(ClippedNotifications):
    """A feed that also keeps few entries."""

    key_format = "short:{{{user_id}}}"
    max_length = LONGEST


class NotificationModel:
    """The expected content of a feed: ``{id: photo}`` of its entries, and the ids without a mark."""

    def __init__(self, max_length: int | None) -> None:
        self.max_length = max_length
        self.photos: dict[int, str] = {}
        self.unseen: set[int] = set()
        self.unread: set[int] = set()

    def add(self, activities: list[Activity]) -> None:
        """Deliver activities; those that are there keep their marks, and move to the group that they now have."""
        given = {activity.id: activity.extra_context["photo"] for activity in activities}
        new = given.keys() - self.photos.keys()
        self.photos |= given
        self.unseen |= new
        self.unread |= new
        for photo in set(given.values()):
            self.remove(set(sorted(self.members(photo), reverse=True)[MOST:]))
        if self.max_length is not None:
            self.trim(self.max_length)

    def members(self, photo: str) -> set[int]:
        """Return the ids in the group of a photo."""
        return {one for one, of in self.photos.items() if of == photo}

    def remove(self, ids: set[int]) -> None:
        """Remove entries with their marks."""
        self.photos = {one: photo for one, photo in self.photos.items() if one not in ids}
        self.unseen -= ids
        self.unread -= ids

    def mark(self, ids: set[int], read: bool) -> None:
        """Mark ids as seen, and as read."""
        self.unseen -= ids
        if read:
            self.unread -= ids

    def mark_shown(self, photo: str, added: list[Activity], read: bool) -> None:
        """Add activities after the user was shown a group, and mark its members up to the newest that was shown."""
        newest = max(self.members(photo), default=-1)
        self.add(added)
        self.mark({one for one in self.members(photo) if one <= newest}, read)

    def reset(self, unseen: set[int], unread: set[int]) -> None:
        """Make ids the only ones without a mark."""
        self.unseen, self.unread = unseen & self.photos.keys(), unread & self.photos.keys()

    def marks(self, to_group_id: Callable[[str], int]) -> dict[int, tuple[bool, bool]]:
        """Return whether each group is seen, and whether it is read."""
        members: dict[str, set[int]] = {}
        for one, photo in self.photos.items():
            members.setdefault(photo, set()).add(one)
        return {to_group_id(photo): (not ids & self.unseen, not ids & self.unread) for photo, ids in members.items()}

    def trim(self, length: int) -> None:
        """Keep the newest entries."""
        self.remove(set(sorted(self.photos, reverse=True)[length:]))


def run_notification_oracle(backend: Backend, seed: int, steps: int) -> None:
    """Make random calls to a feed, and compare it with the model after each.

    Raises:
        AssertionError: The feed differs from the model; the message holds the calls.
    """
    choose = random.Random(seed)
    deeds = [_of_photo(minute % PHOTOS, deed(minute)) for minute in range(DEEDS)]
    # Without exact trims, the entries that a write leaves are those of the store.
    kind = ClippedNotifications if backend.abilities.fan_out_excess else ShortNotifications
    feed, model = kind(f"user{seed}", backend), NotificationModel(kind.max_length)
    feed.insert_activities(deeds)
    calls: list[str] = []
    for _ in range(steps):
        name, call = _next_call(choose, feed, model, deeds)
        calls.append(name)
        call()
        counts = feed.counts()
        assert (feed.unseen_ids(), feed.unread_ids()) == (model.unseen, model.unread), calls
        assert (counts.unseen, counts.unread) == (len(model.unseen), len(model.unread)), calls
        assert counts.unseen_groups == len({model.photos[one] for one in model.unseen}), calls
        assert counts.unread_groups == len({model.photos[one] for one in model.unread}), calls
        assert feed.count() == len(model.photos), calls
        assert {one.id: (one.is_seen, one.is_read) for one in feed[:]} == model.marks(feed.group_id), calls


def _of_photo(photo: int, activity: Activity) -> Activity:
    """Return an activity with the same id in the group of a photo."""
    return Activity(
        activity.actor, activity.verb, activity.object, time=activity.time, extra_context={"photo": str(photo)}
    )


def _mark_shown(feed: ClippedNotifications, photo: str, added: list[Activity], read: bool) -> None:
    """Mark the group of a photo as a page does that was read before other activities arrived."""
    groups = [one for one in feed[:] if one.id == feed.group_id(photo)]
    feed.add_many(added)
    feed.mark_groups(groups, read=read)


def _next_call(
    choose: random.Random, feed: ClippedNotifications, model: NotificationModel, deeds: list[Activity]
) -> tuple[str, Callable[[], None]]:
    """Return the name of a random operation, and a function that applies it to the feed and to the model."""
    some = choose.sample(deeds, choose.randint(1, 4))
    ids, read, length = {one.id for one in some}, choose.random() < 0.5, choose.randint(3, 15)
    newest, other = some[0], choose.randrange(PHOTOS)
    photo, moved = str(other), [_of_photo(other, one) for one in some]
    operations: dict[str, tuple[Callable[[], object], Callable[[], None]]] = {
        f"add {sorted(ids)}": (lambda: (feed.add_many(some), feed.add_many(some)), lambda: model.add(some)),
        f"add {sorted(ids)} to photo {photo}": (lambda: feed.add_many(moved), lambda: model.add(moved)),
        f"remove {sorted(ids)}": (lambda: feed.remove_many(some), lambda: model.remove(ids)),
        f"mark {sorted(ids)} {read}": (lambda: feed.mark_activities(ids, read=read), lambda: model.mark(ids, read)),
        f"mark until {newest.id} {read}": (
            lambda: feed.mark_until(newest, read=read),
            lambda: model.mark({one for one in model.photos if one <= newest.id}, read),
        ),
        f"mark the group of photo {photo} {read}": (
            lambda: feed.mark_group(feed.group_id(photo), read=read),
            lambda: model.mark(model.members(photo), read),
        ),
        f"show photo {photo}, add {sorted(ids)}, mark the shown members {read}": (
            lambda: _mark_shown(feed, photo, some, read),
            lambda: model.mark_shown(photo, some, read),
        ),
        f"remove {sorted(ids)} from many": (
            lambda: type(feed).remove_from_feeds(feed.backend, [feed.user_id, "zoe"], some),
            lambda: model.remove(ids),
        ),
        f"remove the group of photo {photo}": (
            lambda: feed.remove_group(feed.group_id(photo)),
            lambda: model.remove(model.members(photo)),
        ),
        f"reset {sorted(ids)}": (lambda: feed.reset(ids, some[:1]), lambda: model.reset(ids, {newest.id})),
        f"trim {length}": (lambda: feed.trim(length), lambda: model.trim(length)),
        f"mark all {read}": (lambda: feed.mark_all(read=read), lambda: model.mark(set(model.photos), read)),
    }
    weights = [12, 4, 2, 4, 2, 2, 4, 1, 1, 1, 1, 1]
    (name,) = choose.choices(list(operations), weights)
    on_feed, on_model = operations[name]

    def call() -> None:
        on_feed()
        on_model()

    return name, call
