"""The social network over a store that ``feedstore ingest`` or the demo has filled."""

from __future__ import annotations

from feedapp.network import Network, Profile
from feedstore.timeline_keys import actor_key, reader_key


class IngestedNetwork(Network):
    """A network whose users find their ingested activities.

    An ingestion writes timelines of its own, ``feed:bob`` and ``user:bob``. This class copies them to the manager's
    feeds when their user first signs in, is visited, followed or blocked.
    """

    def sign_in(self, name: str) -> None:
        """Copy the timelines of a user who signs in."""
        self._take_over(name)

    def follow(self, name: str, other: str) -> None:
        """Copy the timelines of the followed user before the follow, which copies from there."""
        self._take_over(other)
        super().follow(name, other)

    def unfollow(self, name: str, other: str) -> None:
        """Copy the timelines of the followed user, whose entries decide which ones leave."""
        self._take_over(other)
        super().unfollow(name, other)

    def block(self, name: str, other: str) -> None:
        """Copy the timelines of the blocked user, whose entries decide which ones leave."""
        self._take_over(other)
        super().block(name, other)

    def profile(self, viewer: str, name: str, cursor: str | None = None) -> Profile:
        """Copy the timelines of a user whose profile is visited."""
        self._take_over(name)
        return super().profile(viewer, name, cursor)

    def _take_over(self, name: str) -> None:
        done = self.backend.kv_storage("feedapp-ingested")
        if done.exists(name):
            return
        home, own = self.manager.get_feed("home", name), self.manager.get_user_feed(name)
        for key, feed, limit in ((reader_key(name), home, home.max_length), (actor_key(name), own, None)):
            entries = self._timelines.get_slice(key, 0, limit)
            if key != feed.key and entries:
                feed.add_many(entries)
        # The mark comes last: if the process dies before, the next visit copies again, which adds nothing twice.
        done.upsert(name, True)
