"""The part of a manager that knows the feeds to which an activity was published directly."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from feedstore.activity import Activity
from feedstore.errors import InvalidValueError
from feedstore.fanout.feed_classes import Target
from feedstore.fanout.jobs import JobOperation
from feedstore.fanout.manager_core import ManagerCore
from feedstore.fanout.publications import USER_FEED, Route
from feedstore.feeds import UserId
from feedstore.feeds.key_format import user_text
from feedstore.ids import ActivityLike
from feedstore.shown import shown


class Targeting(ManagerCore):
    """The methods of a manager that add activities to the feeds of ``to=``, and remove them."""

    def _add_to_targets(self, activity: Activity, targets: Iterable[Route]) -> None:
        users_of = _users_by_feed(targets)
        everyone = {user for users in users_of.values() for user in users}
        blockers = self.blockers_among(activity.actor, everyone)
        for name, users in users_of.items():
            receivers = [one for one in users if one not in blockers]
            if receivers:
                self.feeds.class_of(name).add_to_feeds(self.backend, receivers, [activity])

    def _sources(self, user: str, activity_id: int, known: Activity | None, routes: Iterable[Route]) -> list[str]:
        """Return the users in whose user feeds an activity was published, so that their followers received it."""
        sources = {user: None, **{one.user: None for one in routes if one.feed == USER_FEED}}
        actor = user if known is None else str(known.actor)
        if actor not in sources and self.get_user_feed(actor).contains(activity_id):
            sources[actor] = None
        return list(sources)

    def _remove_from_targets(self, activity_id: int, routes: Iterable[Route]) -> None:
        for name, users in _users_by_feed(one for one in routes if one.feed != USER_FEED).items():
            self.feeds.class_of(name).remove_from_feeds(self.backend, users, [activity_id])

    def update_activity_to_targets(
        self,
        user_id: UserId,
        activity: ActivityLike,
        *,
        new_targets: Iterable[Target] | None = None,
        added_targets: Iterable[Target] = (),
        removed_targets: Iterable[Target] = (),
        to_followers: bool = False,
    ) -> list[Route]:
        """Change the ``to`` targets of a published activity, and return the targets that it has now.

        Args:
            user_id: the user or thing in whose feed it was published.
            activity: the activity, or its id; it must be stored.
            new_targets: all targets that it is to have; None: pass the others.
            added_targets: targets to add.
            removed_targets: targets to remove, with the entries in the feeds of their followers, unless those follow
                another user or thing in whose feed the activity is.
            to_followers: whether it also goes to the followers of new targets that are user feeds.
        """
        stored = self.activities.get(activity)
        if stored is None:
            raise InvalidValueError(f"the activity {shown(activity)} is not stored; publish it first")
        user, activity_id = user_text(user_id), stored.serialization_id
        recorded = {one.serialization_id: one for one in self.publications.routes([activity_id])[activity_id]}
        publisher = Route(USER_FEED, user, True)
        before = {key: one for key, one in recorded.items() if key != publisher.serialization_id}
        if new_targets is None:
            added, removed = self.feeds.routes(added_targets, to_followers), self.feeds.routes(removed_targets, False)
        else:
            added = self.feeds.routes(new_targets, to_followers)
            wanted = {one.serialization_id for one in added}
            removed = [one for key, one in before.items() if key not in wanted]
        gone = [before[one.serialization_id] for one in removed if one.serialization_id in before]
        new = [
            one
            for one in added
            if one.serialization_id not in before and one.serialization_id != publisher.serialization_id
        ]
        if new:
            self._add_targets(user, stored, [*new, publisher])
        if gone:
            self._remove_targets(user, stored, gone)
        left = {**before, **{one.serialization_id: one for one in new}}
        return [one for one in left.values() if one not in gone]

    def _add_targets(self, user: str, activity: Activity, routes: Sequence[Route]) -> None:
        self.publications.add_routes(activity.serialization_id, routes)
        targets = routes[:-1]
        self._add_to_targets(activity, targets)
        for target in targets:
            if target.reaches_followers:
                skipped = () if self.include_actor else (user,)
                self._fan_out(JobOperation.ADD, target.user, [activity], actor=str(activity.actor), skipped=skipped)

    def _remove_targets(self, user: str, activity: Activity, gone: Sequence[Route]) -> None:
        """Remove an activity from targets and from the feeds of their followers, where no other way leads to."""
        activity_id = activity.serialization_id
        kept = [one for one in self.publications.routes([activity_id])[activity_id] if one not in gone]
        reaching = [one for one in kept if one.reaches_followers]
        others = tuple(self._sources(user, activity_id, activity, reaching))
        for name, users in _users_by_feed(gone).items():
            if name == USER_FEED:
                continue
            unless = others if name in self.feeds.followers else ()
            self._submit(
                self._job(
                    JobOperation.REMOVE,
                    activities=(activity_id,),
                    feeds=(name,),
                    users=tuple(users),
                    unless_following=unless,
                )
            )
        direct = [one.user for one in kept if one.feed in self.feeds.followers]
        for target in gone:
            if target.feed == USER_FEED:
                self.get_user_feed(target.user).remove(activity_id)
                self._fan_out(
                    JobOperation.REMOVE, target.user, [activity_id], unless_following=others, skipped=(user, *direct)
                )
        self.publications.remove_routes(activity_id, gone)


def _users_by_feed(routes: Iterable[Route]) -> dict[str, list[str]]:
    users_of: dict[str, list[str]] = defaultdict(list)
    for route in routes:
        users_of[route.feed].append(route.user)
    return users_of
