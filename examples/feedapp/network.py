"""The social network: the actions of users, and the pages that users read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from secrets import token_hex

from feedapp.feeds import COMMENT, FOLLOW, LIKE, POST, Bell, Likes, SocialManager, Thread
from feedstore import Activity
from feedstore.aggregated import AggregatedActivity
from feedstore.errors import BlockedError
from feedstore.fanout import Counts, FollowGraph, Target
from feedstore.feeds import BaseFeed, NotificationCounts
from feedstore.ids import id_to_text
from feedstore.storage import Backend, Page

PAGE = 20
MOST_COUNTED = 100
"""Lists show larger numbers of likes and comments as ``99+``, so that a page reads a bounded number of entries."""


class MissingError(Exception):
    """Raised if an entry or a user does not exist, or may not be seen by this user."""


class RefusedError(Exception):
    """Raised if a user may not do something."""


@dataclass(frozen=True)
class Entry:
    """An activity on a page, with the post that it is about, and this post's likes and comments.

    ``subject`` is the activity itself unless it is a like or a comment. ``can_react`` is False for activities without
    an object, and for follows.
    """

    activity: Activity
    subject: Activity
    likes: int
    comments: int
    is_liked: bool
    can_react: bool


@dataclass(frozen=True)
class Profile:
    """A user's profile as another user sees it."""

    name: str
    counts: Counts
    is_following: bool
    is_blocked: bool
    entries: Page[Entry]


class Network:
    """The social network on a backend. It has no state but its arguments, so threads share it.

    Args:
        backend: the backend.
        manager_class: the class of the manager.
    """

    def __init__(self, backend: Backend, manager_class: type[SocialManager] = SocialManager) -> None:
        self.backend = backend
        self.graph = FollowGraph(backend)
        self.manager = manager_class(backend, graph=self.graph)
        self._timelines = backend.timeline_storage()

    def post(self, name: str, text: str) -> None:
        """Publish a post to the followers of its author."""
        thing = f"post:{token_hex(8)}"
        activity = Activity(name, POST, thing, extra_context={"text": text})
        self.manager.add_user_activity(name, activity, to=[("thread", thing)], include_actor=True)

    def comment(self, name: str, entry_id: str, text: str) -> None:
        """Comment on a post, and notify its author."""
        subject = self._subject(name, entry_id)
        activity = Activity(name, COMMENT, subject.object, extra_context={"text": text})
        targets = [("thread", str(subject.object)), *self._bell_of(subject, name)]
        self.manager.add_user_activity(name, activity, to=targets)

    def like(self, name: str, entry_id: str) -> None:
        """Like a post, and notify its author. A repeated like changes nothing."""
        subject = self._subject(name, entry_id)
        targets = [("likes", str(subject.object)), *self._bell_of(subject, name)]
        self.manager.add_user_activity(name, Activity(name, LIKE, subject.object), to=targets, unique=True)

    def unlike(self, name: str, entry_id: str) -> None:
        """Take a like back."""
        self.manager.retract(name, LIKE, self._subject(name, entry_id).object)

    def follow(self, name: str, other: str) -> None:
        """Let a user follow another, and notify the other."""
        if name == other:
            raise RefusedError("you cannot follow yourself")
        try:
            self.manager.follow_user(name, other)
        except BlockedError:
            raise RefusedError("you cannot follow this user, because one of you has blocked the other") from None
        activity = Activity(name, FOLLOW, f"user:{other}")
        self.manager.add_user_activity(name, activity, to=[("bell", other)], unique=True)

    def unfollow(self, name: str, other: str) -> None:
        """End a follow, and take its notification back."""
        self.manager.unfollow_user(name, other)
        self.manager.retract(name, FOLLOW, f"user:{other}")

    def block(self, name: str, other: str) -> None:
        """Block a user: both no longer follow, see or notify each other."""
        if name == other:
            raise RefusedError("you cannot block yourself")
        self.manager.block_user(name, other)
        for follower, followed in ((name, other), (other, name)):
            self.manager.retract(follower, FOLLOW, f"user:{followed}")

    def unblock(self, name: str, other: str) -> None:
        """End a block. Follows do not come back."""
        self.manager.unblock_user(name, other)

    def delete(self, name: str, entry_id: str) -> None:
        """Delete an activity of the user's own; a post goes with all its likes, comments and notifications.

        An ingested post is removed alone, because its object may be that of other activities.
        """
        activity = self.manager.activities.get(entry_id)
        if activity is None:
            raise MissingError("this entry does not exist")
        if activity.actor != name:
            raise RefusedError("this entry belongs to another user")
        thing = str(activity.object)
        if self._posts([thing]).get(thing) == activity:
            self.manager.remove_object(thing)
        else:
            self.manager.remove_user_activity(name, activity)

    def home(self, name: str, cursor: str | None = None) -> tuple[Page[Entry], str]:
        """Return a page of a user's home feed, and the id of its newest activity."""
        page = self.manager.get_feed("home", name).page(PAGE, cursor)
        newest = max((one.serialization_id for one in page), default=0)
        return self._shown(name, page), id_to_text(newest)

    def new_entries(self, name: str, newest_id: str) -> int:
        """Return the number of entries of a home feed that are newer than an activity."""
        return self.manager.get_feed("home", name).filter(activity_id__gt=newest_id).count()

    def profile(self, viewer: str, name: str, cursor: str | None = None) -> Profile:
        """Return a user's profile, or raise if that user has blocked the viewer."""
        if self.graph.is_blocked(name, viewer):
            raise MissingError("this profile is not available")
        is_blocked = self.graph.is_blocked(viewer, name)
        entries = Page[Entry]([], None, True, None)
        if not is_blocked:
            entries = self._page(viewer, self.manager.get_user_feed(name), cursor)
        return Profile(name, self.graph.counts(name), self.graph.is_following(viewer, name), is_blocked, entries)

    def entry(self, viewer: str, entry_id: str, cursor: str | None = None) -> tuple[Entry, Page[Entry]]:
        """Return an entry, and a page of the comments on its post, newest first."""
        subject = self._subject(viewer, entry_id)
        thread = self.manager.get_feed("thread", str(subject.object)).page(PAGE, cursor)
        comments = self._entries(viewer, [one for one in thread if one.verb == COMMENT])
        entry = self._entries(viewer, [subject])
        if not entry:
            raise MissingError("this entry is not available")
        return entry[0], Page(comments, thread.next_cursor, thread.complete, thread.floor)

    def bell(self, name: str) -> Bell:
        """Return the feed of a user's notifications."""
        return Bell(name, self.backend)

    def counts(self, name: str) -> NotificationCounts:
        """Return the numbers of a user's badge."""
        return self.bell(name).counts()

    def notifications(
        self, name: str, cursor: str | None = None
    ) -> tuple[Page[AggregatedActivity], dict[str, Activity]]:
        """Return a page of a user's notifications, and the posts that they are about. The page marks them as seen."""
        bell = self.bell(name)
        page = bell.page(PAGE, cursor)
        if page.items:
            bell.mark_until(newest_of(page.items))
        return page, self._posts(str(thing) for group in page for thing in group.object_ids)

    def mark_read(self, name: str, newest_id: str) -> None:
        """Mark a user's notifications as read, up to the newest that the user was shown."""
        self.bell(name).mark_until(newest_id, read=True)

    def _subject(self, viewer: str, entry_id: str) -> Activity:
        """Return the post of an entry, or the entry's own activity, if the viewer may see it and react to it."""
        activity: Activity | None = self.manager.activities.get(entry_id)
        if activity is None or activity.object is None or activity.verb == FOLLOW:
            raise MissingError("this entry does not exist")
        thing = str(activity.object)
        subject = self._posts([thing]).get(thing, activity)
        if self._hidden_from(viewer, {str(activity.actor), str(subject.actor)}):
            raise MissingError("this entry is not available")
        return subject

    @staticmethod
    def _bell_of(subject: Activity, name: str) -> list[Target]:
        """Return the target that notifies the author of a post, unless the author is the user who acts."""
        author = str(subject.actor)
        return [] if author == name else [("bell", author)]

    def _page(self, viewer: str, feed: BaseFeed[Activity], cursor: str | None) -> Page[Entry]:
        return self._shown(viewer, feed.page(PAGE, cursor))

    def _shown(self, viewer: str, page: Page[Activity]) -> Page[Entry]:
        return Page(self._entries(viewer, page.items), page.next_cursor, page.complete, page.floor)

    def _entries(self, viewer: str, activities: Sequence[Activity]) -> list[Entry]:
        """Return activities with everything that a page shows about them. Round trips: about five, for any number."""
        things = list(dict.fromkeys(str(one.object) for one in activities if _can_react(one)))
        posts = self._posts(things)
        liked = self.manager.unique_among(viewer, LIKE, things)
        threads = self._sizes(Thread(thing, self.backend).key for thing in things)
        likes = self._sizes(Likes(thing, self.backend).key for thing in things)
        numbers = {thing: (likes[number], threads[number] - (thing in posts)) for number, thing in enumerate(things)}
        subjects = [posts.get(str(one.object), one) if _can_react(one) else one for one in activities]
        hidden = self._hidden_from(viewer, {str(one.actor) for one in (*activities, *subjects)})
        entries = []
        for activity, subject in zip(activities, subjects, strict=True):
            thing = str(activity.object)
            like_count, comment_count = numbers.get(thing, (0, 0))
            if {str(activity.actor), str(subject.actor)} & hidden:
                continue
            entries.append(Entry(activity, subject, like_count, comment_count, thing in liked, _can_react(activity)))
        return entries

    def _posts(self, things: Iterable[str]) -> dict[str, Activity]:
        """Return the posts among some things: the first entries of their threads."""
        keys = {Thread(thing, self.backend).key: thing for thing in things}
        found = self._timelines.get_many_slices(
            keys, 0, 1, ordering_args=("activity_id",), hydrate_from=self.manager.activities
        )
        return {keys[key]: one for key, some in found.items() for one in some if one.verb == POST}

    def _sizes(self, keys: Iterable[str]) -> list[int]:
        """Return the numbers of entries of timelines, up to ``MOST_COUNTED``."""
        return [len(some) for some in self._timelines.get_many_slices(keys, 0, MOST_COUNTED).values()]

    def _hidden_from(self, viewer: str, names: set[str]) -> set[str]:
        """Return those of some users that have blocked the viewer, or that the viewer has blocked."""
        hidden = {str(one) for one in self.graph.blockers_among(viewer, names)}
        cursor: str | None = None
        while True:
            page = self.graph.blocked(viewer, MOST_COUNTED, cursor)
            hidden |= names & {str(one.name) for one in page}
            cursor = page.next_cursor
            if cursor is None:
                return hidden


def newest_of(groups: Iterable[AggregatedActivity]) -> int:
    """Return the id of the newest activity of some groups, up to which notifications are marked."""
    return max(group.newest_id or group.last_activity.serialization_id for group in groups)


def _can_react(activity: Activity) -> bool:
    return activity.object is not None and activity.verb != FOLLOW
