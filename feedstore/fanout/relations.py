"""The part of a manager that follows, unfollows, blocks and mutes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

from feedstore.fanout.jobs import JobOperation
from feedstore.fanout.manager_core import ManagerCore
from feedstore.fanout.publications import USER_FEED, Route
from feedstore.feeds import BaseFeed, UserId
from feedstore.feeds.key_format import user_text
from feedstore.ids import ActivityLike
from feedstore.storage.checks import check_position, checked_iterable

_TARGETS_AT_ONCE = 20
_ENTRIES_AT_ONCE = 1000


class Relations(ManagerCore):
    """The methods of a manager that change follows, and with them the feeds of a follower."""

    def follow_user(self, user_id: UserId, target_user_id: UserId, copy_limit: int | None = None) -> bool:
        """Let a user follow another user or a thing, and copy its activities to the user's feeds.

        A repeated call copies again, and so completes an interrupted one. If an unfollow runs at the same time, the
        copy may arrive after it; a repeated unfollow removes it.

        Args:
            user_id: the follower.
            target_user_id: the followed user or thing.
            copy_limit: the number of newest activities to copy; 0 copies none, and None copies
                ``follow_activity_limit``. A feed keeps its ``max_length`` of them.

        Returns:
            Whether the follow is new.

        Raises:
            BlockedError: One of the two has blocked the other.
        """
        user, target = user_text(user_id), user_text(target_user_id)
        limit = self._checked_limit(copy_limit)
        is_new = self.graph is None or self.graph.follow(user_id, target_user_id, kind=self.graph.kinds[0])
        self._copy_from(user, [target], limit)
        return is_new

    def follow_many_users(self, user_id: UserId, target_ids: Iterable[UserId], copy_limit: int | None = None) -> int:
        """Let a user follow several users or things; a job copies their activities. Return how many follows are new.

        Raises:
            BlockedError: As :meth:`follow_user`; some follows may exist then, without a copy.
        """
        targets = list(checked_iterable(target_ids))
        names = tuple(map(user_text, targets))
        limit = self._checked_limit(copy_limit)
        new = len(names) if self.graph is None else self.graph.follow_many(user_id, targets, kind=self.graph.kinds[0])
        if names and limit:
            self._submit(self._job(JobOperation.COPY, users=(user_text(user_id),), targets=names, copy_limit=limit))
        return new

    def unfollow_user(self, user_id: UserId, target_user_id: UserId, keep_history: bool = False) -> bool:
        """End a follow, and remove the activities that came by it from the user's feeds; return whether it existed.

        Those are the activities of the user feed of ``target_user_id``, except the ones that were published to the
        user feed of another followed user or thing, or to this user's feed directly. A repeated call completes an
        interrupted one. A delivery that runs during the call may arrive after it.

        Args:
            user_id: the follower.
            target_user_id: the followed user or thing.
            keep_history: whether the activities stay.
        """
        user, target = user_text(user_id), user_text(target_user_id)
        existed = self.graph is None or self.graph.unfollow(user_id, target_user_id, kind=self.graph.kinds[0])
        if not keep_history:
            self._purge(user, [target])
        return existed

    def unfollow_many_users(self, user_id: UserId, target_ids: Iterable[UserId], keep_history: bool = False) -> int:
        """End several follows; a job removes the activities that came by them. Return how many existed."""
        targets = list(checked_iterable(target_ids))
        names = tuple(map(user_text, targets))
        existed = len(names)
        if self.graph is not None:
            existed = self.graph.unfollow_many(user_id, targets, kind=self.graph.kinds[0])
        if names and not keep_history:
            self._submit(self._job(JobOperation.PURGE, users=(user_text(user_id),), targets=names))
        return existed

    def block_user(self, user_id: UserId, blocked_user_id: UserId) -> bool:
        """Let a user block another; return whether that changed anything.

        It ends the follows between the two, and removes from all feeds of each, also those of ``to=``, the activities
        of the other. ``to=`` no longer reaches ``user_id`` for activities of the blocked user. A repeated call
        completes an interrupted one. A delivery that runs during the call may arrive after it.
        """
        changed = self._graph.block(user_id, blocked_user_id)
        user, blocked = user_text(user_id), user_text(blocked_user_id)
        for owner, other in ((user, blocked), (blocked, user)):
            self._purge(owner, [other])
            self._remove_by_actor(owner, other)
        return changed

    def unblock_user(self, user_id: UserId, blocked_user_id: UserId) -> bool:
        """End a block, and return whether it existed. Follows and removed activities do not come back."""
        return self._graph.unblock(user_id, blocked_user_id)

    def mute_user(self, user_id: UserId, muted_user_id: UserId) -> bool:
        """Let a user mute another, and return whether it is new.

        Feeds stay as they are, so that an end of the mute shows everything again; reads leave out muted actors.
        """
        return self._graph.mute(user_id, muted_user_id)

    def unmute_user(self, user_id: UserId, muted_user_id: UserId) -> bool:
        """End a mute, and return whether it existed."""
        return self._graph.unmute(user_id, muted_user_id)

    def origins(self, user_id: UserId, activities: Iterable[ActivityLike]) -> dict[int, str | None]:
        """Return by id of which followed user or thing each activity came to the feeds of a user.

        None if it came otherwise: by ``to=``, as the user's own, or by a follow that has ended. If several followed
        users or things brought it, the actor comes first.
        """
        ids = list(dict.fromkeys(self.activities.activities_to_ids(activities)))
        sources = self._sources_by_id(ids)
        followed = self.following_among(user_id, {name for names in sources.values() for name in names})
        return {one: next((name for name in sources[one] if name in followed), None) for one in ids}

    def _checked_limit(self, copy_limit: int | None) -> int:
        return self.follow_activity_limit if copy_limit is None else check_position("copy_limit", copy_limit)

    def _copy(self, user: str, targets: Sequence[str], copy_limit: int | None) -> None:
        """Copy the activities of those targets that the user still follows."""
        followed = set(targets) if self.graph is None else self.following_among(user, targets)
        still = iter([one for one in targets if one in followed])
        while some := list(islice(still, _TARGETS_AT_ONCE)):
            self._copy_from(user, some, self._checked_limit(copy_limit))

    def _copy_from(self, user: str, targets: Sequence[str], copy_limit: int) -> None:
        """Copy the newest activities of user feeds to a follower's feeds, without actors that the follower has blocked.

        One read, one write for each feed, and with a follow graph one read of a block; two more reads if there is one.
        """
        feeds = list(self._stored_feeds(user).values())
        limit = max(copy_limit if one.max_length is None else min(copy_limit, one.max_length) for one in feeds)
        if not limit:
            return
        keys = [self.get_user_feed(one).key for one in targets]
        has_blocks = self.graph is not None and self.graph.may_have_blocked(user)
        # Ids are enough for feeds of ids.
        needs_more = has_blocks or any(one.serializer_class is not None for one in feeds)
        entries = self._newest_entries(keys, limit, needs_more, any(map(_takes_objects, feeds)))
        if has_blocks:
            entries = self._without_blocked(entries, user)
        if entries:
            for feed in feeds:
                feed.add_many(entries)

    def _newest_entries(self, keys: list[str], limit: int, needs_more: bool, needs_objects: bool) -> list[Any]:
        """Return the newest entries of user feeds: activities if the caller ``needs_more`` than ids; otherwise ids, as
        objects if the caller needs those."""
        source = self.feeds.user
        timelines = source._timelines_of(self.backend)
        hydrates = source.serializer_class is None and needs_more
        options: dict[str, Any] = {"hydrate_from": self.activities} if hydrates else {}
        if len(keys) > 1:
            slices = timelines.get_many_slices(keys, 0, limit, **options)
            return [one for found in slices.values() for one in found]
        if needs_more or needs_objects:
            return timelines.get_slice(keys[0], 0, limit, **options)
        # The copy of an id takes 0.3 µs less without an object.
        return list(timelines.get_columns(keys[0], limit).ids)

    def _without_blocked(self, activities: list[Any], reader: str | None) -> list[Any]:
        if reader is None or self.graph is None or not activities:
            return activities
        blocked = self.graph.blocked_among(reader, {one.actor for one in activities})
        return [one for one in activities if one.actor not in blocked]

    def _purge(self, user: str, targets: Sequence[str]) -> None:
        """Remove from the feeds of a user the activities that came by some users, and in no other way."""
        for name, feed in self._stored_feeds(user).items():
            for ids in _id_chunks(feed):
                came = self._came_by(ids, targets)
                kept = self._reached_otherwise(user, name, came, targets) if came else set()
                if came - kept:
                    feed.remove_many(came - kept)

    def _came_by(self, ids: Sequence[int], targets: Sequence[str]) -> set[int]:
        """Return those ids that the user feeds of some users hold."""
        found: set[int] = set()
        for target in targets:
            found |= self.get_user_feed(target).contains_many(ids)
        return found

    def _reached_otherwise(self, user: str, feed: str, ids: set[int], targets: Sequence[str]) -> set[int]:
        """Return those ids that a feed would hold without the follows of some users."""
        routes = {key: found for key, found in self.publications.routes(ids).items() if found}
        if not routes:
            return set()
        sources = self._sources_by_id(list(routes), routes)
        gone = set(targets)
        names = {name for found in sources.values() for name in found} - gone
        followed = self.following_among(user, names) - gone
        direct = {key for key, found in routes.items() if any((one.feed, one.user) == (feed, user) for one in found)}
        if self.include_actor:
            direct |= {key for key in routes if user in sources[key]}
        return direct | {key for key in routes if followed.intersection(sources[key])}

    def _sources_by_id(self, ids: Sequence[int], routes: dict[int, list[Route]] | None = None) -> dict[int, list[str]]:
        """Return the users whose followers received each activity; its actor comes first."""
        recorded = self.publications.routes(ids) if routes is None else routes
        actors = {one.serialization_id: str(one.actor) for one in self.activities.get_many(ids)}
        sources: dict[int, list[str]] = {}
        for key in ids:
            found = recorded.get(key) or []
            sources[key] = [one.user for one in found if one.feed == USER_FEED and one.reaches_followers]
            actor = actors.get(key)
            if actor is not None and actor in sources[key]:
                sources[key].remove(actor)
            elif actor is None or (found and not self.get_user_feed(actor).contains(key)):
                continue
            sources[key].insert(0, actor)
        return sources

    def _remove_by_actor(self, user: str, actor: str) -> None:
        """Remove from all feeds of a user the activities of an actor."""
        for feed_class in self.feeds.personal.values():
            feed = feed_class(user, self.backend)
            for ids in _id_chunks(feed):
                found = [one.serialization_id for one in self.activities.get_many(ids) if str(one.actor) == actor]
                if found:
                    feed.remove_many(found)


def _takes_objects(feed: BaseFeed[Any]) -> bool:
    """Return whether the class of a feed sees the added entries, so that they must be objects."""
    kind = type(feed)
    return kind.on_update_feed is not BaseFeed.on_update_feed or kind.add_many is not BaseFeed.add_many


def _id_chunks(feed: BaseFeed[Any]) -> Iterable[list[int]]:
    """Yield the ids of all entries of a feed."""
    cursor: str | None = None
    while True:
        page = feed.timelines.get_page(feed.key, _ENTRIES_AT_ONCE, cursor)
        if page.items:
            yield [one.serialization_id for one in page.items]
        cursor = page.next_cursor
        if cursor is None:
            return
