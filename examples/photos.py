"""A photo site in one file: home pages, a digest of each user's photos, and a bell.

Run it with ``python photos.py``; ``--store sqlite:///photos.db`` keeps the data. The program plays a morning on the
site and prints the pages of one user. The three feeds are classes of a few lines; their timelines may lie in any store.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone

from feedstore import Activity, Verb, VerbRegistry, connect
from feedstore.feeds import AggregatedFeed, Feed, NotificationAggregator, NotificationFeed
from feedstore.rendering import SentenceRenderer
from feedstore.storage import Backend

MORNING = datetime(2026, 5, 1, 9, tzinfo=timezone.utc)
VERBS = VerbRegistry([Verb("post", "posted"), Verb("like", "liked"), Verb("comment", "commented on")])


class Home(Feed):
    """The photos of the users that a user follows, newest first."""

    key_format = "{{{user_id}}}:home"
    max_length = 500


class Digest(AggregatedFeed):
    """The same activities, one line for each user and day."""

    key_format = "{{{user_id}}}:digest"
    aggregator = "{actor}-{verb}-{time:%Y-%m-%d}"
    max_per_group = 50


class Bell(NotificationFeed):
    """The likes and comments that a user's photos receive."""

    key_format = "{{{user_id}}}:bell"
    aggregator = NotificationAggregator(window=None)


class Site:
    """The site: it stores each activity once, and adds it to the feeds of its readers."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.followers: dict[str, set[str]] = defaultdict(set)
        self.owners: dict[str, str] = {}

    def follow(self, follower: str, followee: str) -> None:
        """Let a user see the photos of another."""
        self.followers[followee].add(follower)

    def post(self, owner: str, photo: str, time: datetime) -> None:
        """Post a photo to the followers of its owner."""
        self.owners[photo] = owner
        activity = Activity(owner, "post", photo, time=time)
        self._store([activity])
        readers = sorted(self.followers[owner])
        Home.add_to_feeds(self.backend, readers, [activity])
        Digest.add_to_feeds(self.backend, readers, [activity])

    def react(self, verb: str, actors: Iterable[str], photo: str, time: datetime) -> list[Activity]:
        """Let users like a photo or comment on it; its owner is notified."""
        activities = [
            Activity(actor, verb, photo, time=time + timedelta(seconds=number)) for number, actor in enumerate(actors)
        ]
        self._store(activities)
        Bell(self.owners[photo], self.backend).add_many(activities)
        return activities

    def take_back(self, activity: Activity) -> None:
        """Remove a reaction from the bell and from the store."""
        bell = Bell(self.owners[str(activity.object)], self.backend)
        bell.remove(activity)
        bell.remove_activity(activity)

    def _store(self, activities: list[Activity]) -> None:
        # The site stores activities before it adds their entries, so that no entry lacks its activity.
        self.backend.activity_storage().add_many(activities)


class Pages:
    """The pages of one user, as lines of text."""

    def __init__(self, user: str, backend: Backend) -> None:
        self.home = Home(user, backend)
        self.digest = Digest(user, backend)
        self.bell = Bell(user, backend)
        self.renderer = SentenceRenderer(VERBS, actor_name=str.title, object_name=lambda name: name.replace(":", " "))

    def show_home(self) -> list[str]:
        """Return the home page, two photos a page."""
        lines, cursor = [], None
        while True:
            page = self.home.page(2, cursor)
            lines += [f"{activity.time:%H:%M} {self.renderer.render(activity)}" for activity in page]
            if page.next_cursor is None:
                return lines
            lines.append("-- more --")
            cursor = page.next_cursor

    def show_digest(self) -> list[str]:
        """Return one line for each user and day with posts."""
        return [f"{self.renderer.render(group)} ({group.activity_count})" for group in self.digest[:10]]

    def show_bell(self) -> list[str]:
        """Return the notifications, with a star for each that is unread."""
        page = self.bell.page(10)
        lines = [f"{' ' if group.is_read else '*'} {self.renderer.render(group)}" for group in page]
        self.bell.mark_groups(page.items)
        return [f"bell: {self.bell.unread_count()} unread", *lines]


def play(backend: Backend) -> list[str]:
    """Play a morning, and return the pages that Bob sees."""
    site = Site(backend)
    for followee in ("ann", "cem"):
        site.follow("bob", followee)
    for number in range(3):
        site.post("ann", f"photo:{number}", MORNING + timedelta(minutes=number))
    site.post("cem", "photo:8", MORNING + timedelta(minutes=10))
    site.post("bob", "photo:9", MORNING + timedelta(minutes=20))
    likes = site.react("like", ["ann", "cem", "eve", "gil"], "photo:9", MORNING + timedelta(minutes=30))
    site.react("comment", ["eve"], "photo:9", MORNING + timedelta(minutes=40))
    site.take_back(likes[3])
    pages = Pages("bob", backend)
    lines = ["Home", *pages.show_home(), "", "Digest", *pages.show_digest(), "", "Bell", *pages.show_bell()]
    comments = next(group for group in pages.bell[:10] if group.verb == "comment")
    pages.bell.mark_group(comments, read=True)
    return [*lines, "", "Bell, after the comment was read", *pages.show_bell()]


def main() -> None:
    """Play the morning on the store that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", metavar="URL", default="memory://", help="the store (default: %(default)s)")
    with connect(parser.parse_args().store) as backend:
        print("\n".join(play(backend)))


if __name__ == "__main__":
    main()
