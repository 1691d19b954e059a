"""The part of a manager that serves readers: merged feeds, visits, rebuilds and settlements."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from feedstore.fanout.manager_core import ReaderFeed
from feedstore.fanout.merged_feed import MergedFeed
from feedstore.fanout.producer_modes import DeliveryMode
from feedstore.fanout.relations import Relations
from feedstore.feeds import UserId
from feedstore.feeds.key_format import user_text


class Reading(Relations):
    """The methods of a manager that read feeds for a user, under its policy."""

    def get_feeds(self, user_id: UserId) -> Mapping[str, ReaderFeed]:
        """Return the feeds of a user that show the activities of followed users, by the names of their classes.

        If the user follows producers that are pulled, the flat feeds are merged feeds. If the policy leaves out
        inactive readers, the call records a visit, and rebuilds the feeds of a reader that returns. No round trip with
        the default policy; up to two for pulled producers, and one or two for the visit.
        """
        self.visit(user_id)
        stored = self._stored_feeds(user_id)
        own: list[Any] = [self.get_user_feed(one) for one in self.pulled_producers(user_id)]
        if not own:
            return stored
        pulled_feeds = self.push_pull.pulled_feeds
        feeds: dict[str, Any] = {**stored}
        return {name: MergedFeed([one, *own]) if name in pulled_feeds else one for name, one in feeds.items()}

    def pulled_producers(self, user_id: UserId) -> list[UserId]:
        """Return the followed producers whose own feeds the reads of a user pull. Two round trips at most."""
        modes = self.push_pull.modes
        producers = [] if modes is None else modes.pulled()
        followed = self.following_among(user_id, producers) if producers else set()
        return [one for one in producers if str(one) in followed]

    def delivery_mode(self, user_id: UserId) -> DeliveryMode:
        """Return the way in which the activities of a producer reach its readers. One round trip."""
        modes, user = self.push_pull.modes, user_text(user_id)
        return DeliveryMode.PUSH if modes is None else modes.state(user).mode

    def settle_producer(self, user_id: UserId) -> bool:
        """Submit the job again that ends the settlement of a producer, if it was lost; return whether it can end.

        False if the producer does not settle, or if a feed class that pulls has no ``max_length``, so that reads have
        to pull all of the time. Until a settlement ends, nothing is missing from reads; they cost more.
        """
        modes, user = self.push_pull.modes, user_text(user_id)
        state = None if modes is None else modes.state(user)
        if state is None or state.mode is not DeliveryMode.SETTLE:
            return False
        # The record of the lost job would end the new one at its first page.
        self._progress.delete(state.change)
        return self._submit_settlement(user, state)

    def visit(self, user_id: UserId) -> bool:
        """Record a visit of a reader, and return whether it rebuilt feeds that deliveries had left out.

        :meth:`get_feeds` calls it. Under a policy without ``inactive_after`` it does nothing.
        """
        visits, user = self.push_pull.visits, user_text(user_id)
        row = None if visits is None else visits.visit(user, self.push_pull.now())
        if visits is None or row is None:
            return False
        self.rebuild_feeds(user)
        visits.end_rebuild(user, row)
        return True

    def rebuild_feeds(self, user_id: UserId) -> None:
        """Add to the feeds of a user the newest activities of the own feeds of everything that the user follows.

        Each feed class with ``max_length`` receives that many. Entries that are there stay. A concurrent fan-out loses
        nothing, and follows that end during the call are honoured. A bounded number of round trips for each 1,000
        followed things.
        """
        user = user_text(user_id)
        followed = [user_text(one) for one in self.get_user_followed_ids(user_id)]
        sources = [*followed, user] if self.include_actor else followed
        feeds = {name: feed for name, feed in self._stored_feeds(user).items() if name in self.push_pull.trimmed_feeds}
        if not sources or not feeds:
            return
        shown = self._newest_of(sources, max(map(self._rebuilt_length, feeds.values())), blocked_by=user)
        for feed in feeds.values():
            feed.add_many(shown[: self._rebuilt_length(feed)])
        ended = set(followed).difference(map(user_text, self.get_user_followed_ids(user_id)))
        if ended:
            self._purge(user, sorted(ended))

    def _newest_of(self, users: Iterable[str], limit: int, blocked_by: str | None = None) -> list[Any]:
        """Return the newest activities of the own feeds of several users, without actors that a reader has blocked."""
        source = self.feeds.user
        hydrate_from: Any = self.activities if source.serializer_class is None else None
        keys = [self.get_user_feed(one).key for one in users]
        timelines = source._timelines_of(self.backend)
        newest: list[Any] = []
        cursor: str | None = None
        while len(newest) < limit:
            page = timelines.get_merged_page(keys, limit, cursor, hydrate_from=hydrate_from)
            newest += self._without_blocked(page.items, blocked_by)
            cursor = page.next_cursor
            if cursor is None:
                break
        return newest[:limit]
