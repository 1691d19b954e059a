"""The part of a manager that publishes and removes activities."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any

from feedstore.activity import Activity
from feedstore.errors import AtomicityError, InvalidValueError
from feedstore.fanout.bulk import LARGE_FAN_OUT, FanOut, divide_by_size
from feedstore.fanout.editing import Editing, checked_activity
from feedstore.fanout.feed_classes import Target
from feedstore.fanout.jobs import FanoutPriority, JobOperation
from feedstore.fanout.manager_core import Followers
from feedstore.fanout.publications import USER_FEED, Route, claim_key, claim_key_of, claim_of
from feedstore.feeds import UserId
from feedstore.feeds.key_format import user_text, user_texts
from feedstore.ids import ActivityLike, id_to_text
from feedstore.shown import shown
from feedstore.storage.checks import check_limit, checked_iterable

_REMOVED_AT_ONCE = 100
_PUBLISHERS_AT_ONCE = 100


class Publishing(Editing):
    """The methods of a manager that add and remove activities."""

    def add_user_activity(
        self,
        user_id: UserId,
        activity: Activity,
        *,
        to: Iterable[Target] = (),
        to_followers: bool = False,
        unique: bool = False,
        include_actor: bool | None = None,
    ) -> bool:
        """Store an activity, add it to the user's own feed, and fan it out to the feeds of the user's followers.

        Each feed holds it once, however many ways lead there. If a process dies during the call, repeat the call with
        the same activity.

        Args:
            user_id: the user or thing, such as a group, in whose feed the activity is published.
            activity: the activity.
            to: further feeds, such as ``"notifications:bob"`` or ``("user", "group:7")``. Users that have blocked the
                actor are left out.
            to_followers: whether it also goes to the followers of those ``to`` that are user feeds.
            unique: whether at most one activity of the same actor, verb, object and target exists, with any time.
            include_actor: whether it goes to the feeds of ``user_id`` too; by default the manager's attribute. The
                argument is not stored. If ``user_id`` unfollows a thing in whose user feed the activity is, the
                activity leaves the feeds of ``user_id``, unless the manager's attribute is set.

        Returns:
            True; False if it was to be unique, and another one exists, which stays.
        """
        checked_activity(activity)
        routes = self._other_routes(user_id, activity, self.feeds.routes(to, to_followers))
        to_own = self.include_actor if include_actor is None else include_actor
        if unique and not self._claim(activity, claim_of(activity, user_text(user_id), routes, to_own)):
            return False
        self._publish(user_id, activity, routes, to_own)
        return True

    def _other_routes(self, user_id: UserId, activity: Activity, targets: list[Route]) -> list[Route]:
        """Return the routes of an activity that must be recorded."""
        user = user_text(user_id)
        routes = [one for one in targets if (one.feed, one.user) != (USER_FEED, user)]
        if routes or user != str(activity.actor):
            routes.append(Route(USER_FEED, user, True))
        return routes

    def _claim(self, activity: Activity, own: dict[str, Any]) -> bool:
        """Return whether an activity is the unique one; complete the call that published the other one."""
        if not self.backend.abilities.conditional_writes:
            raise AtomicityError(
                f"{type(self.backend).__name__} has no conditional writes, which unique=True needs; omit it"
            )
        key = claim_key_of(activity)
        while True:
            # The activity is stored before its claim, so that a claim without an activity is one that is being removed.
            self.activities.add(activity)
            other = self.publications.claim(activity, own)
            if other is None:
                return True
            existing = self.activities.get(other["activity"])
            if existing is None and not self.publications.take_over(activity, own, other):
                continue
            if existing is None:
                return True
            is_other = id_to_text(activity.serialization_id) != other["activity"]
            # An activity that was published before without unique=True stays.
            if is_other and not self.get_user_feed(own["user"]).contains(activity):
                self.activities.remove(activity)
            if self.publications.claimed(key) and self._was_interrupted(other["user"], existing):
                routes = [Route(*one) for one in other.get("routes", ())]
                self._publish(other["user"], existing, routes, other.get("to_own", False))
            return False

    def _was_interrupted(self, user: str, activity: Activity) -> bool:
        """Return whether the call that published an activity has not added it to the own feed of a user.

        A trim may have dropped an activity below the floor of that feed, which is no interruption.
        """
        feed = self.get_user_feed(user)
        if feed.contains(activity):
            return False
        floor = feed.timelines.get_page(feed.key, 1).floor
        return floor is None or activity.serialization_id >= floor

    def _publish(self, user_id: UserId, activity: Activity, routes: Sequence[Route], to_own: bool) -> None:
        self._store(user_id, [activity], routes)
        user = user_text(user_id)
        actor = str(activity.actor)
        targets = [one for one in routes if (one.feed, one.user) != (USER_FEED, user)]
        if targets:
            self._add_to_targets(activity, targets)
        self._fan_out(
            JobOperation.ADD,
            user_id,
            [activity],
            users=(user,) if to_own else (),
            # Followers of the actor's own feed have not blocked the actor, because a block ends follows.
            actor=None if user == actor else actor,
        )
        for target in targets:
            if target.reaches_followers:
                self._fan_out(JobOperation.ADD, target.user, [activity], actor=actor, skipped=() if to_own else (user,))
        self.backend.metrics.on_activity_published()

    def _store(self, user_id: UserId, activities: Sequence[Activity], routes: Sequence[Route]) -> None:
        """Store activities with their records, and add them to the user's own feed. One round trip on most stores."""
        with self.backend.batch() as batch:
            self.activities.add_many(activities, batch_interface=batch)
            self.publications.index(activities, batch)
            for activity in activities:
                if routes:
                    self.publications.add_routes(activity.serialization_id, routes, batch)
            self.get_user_feed(user_id).add_many(activities, batch_interface=self.batch_for(self.feeds.user, batch))

    def add_user_activities(self, activities: Iterable[Activity], chunk_size: int = 500) -> int:
        """Publish activities of many users, each as :meth:`add_user_activity` does for its actor, in few round trips.

        The deliveries of all activities with few followers share their writes. For a replay of a history with follows
        and unfollows in between, call it for the activities between two of them. ``on_update_feed`` of the users' own
        feeds is not called. If the call is interrupted, repeat it with the same activities.

        Args:
            activities: any iterable; ``chunk_size`` activities are in memory.
            chunk_size: the number of activities of each write.

        Returns:
            The number of activities.

        Raises:
            InvalidTypeError: An item is no activity. The chunks before it stay.
        """
        check_limit("chunk_size", chunk_size)
        count, rest = 0, map(checked_activity, checked_iterable(activities))
        while some := list(islice(rest, chunk_size)):
            by_user: dict[UserId, list[Activity]] = {}
            for activity in some:
                by_user.setdefault(activity.actor, []).append(activity)
            self._publish_many(some, by_user)
            count += len(some)
        return count

    def _publish_many(self, activities: Sequence[Activity], by_user: Mapping[UserId, list[Activity]]) -> None:
        with self.backend.batch() as batch:
            self.activities.add_many(activities, batch_interface=batch)
            self.publications.index(activities, batch)
            self.add_to_own_feeds(by_user, batch)
        if self.delivers_in_place:
            self._deliver_in_place(by_user)
        else:
            for user, some in by_user.items():
                self._deliver_apart(user, some)
        for _ in activities:
            self.backend.metrics.on_activity_published()

    def _deliver_apart(self, user: UserId, activities: Sequence[Activity], followers: Followers | None = None) -> None:
        """Deliver the activities of a user by a fan-out of their own."""
        users = (str(user),) if self.include_actor else ()
        self._fan_out(JobOperation.ADD, user, activities, followers, users=users)

    def _deliver_in_place(self, by_user: Mapping[UserId, list[Activity]]) -> None:
        """Deliver activities; those of users with few followers share their calls."""
        fan_outs: list[FanOut] = []
        rest = iter(by_user)
        while users := list(islice(rest, _PUBLISHERS_AT_ONCE)):
            for user, found, groups in self._few_followers(users):
                if found is None:
                    self._deliver_apart(user, by_user[user], groups)
                    continue
                names = user_texts([*found, user] if self.include_actor else found)
                fan_outs.append((list(dict.fromkeys(names)), by_user[user]))
        large, small = divide_by_size(fan_outs)
        for feed in self.feeds.followers.values():
            for readers, activities in large:
                feed.add_to_feeds(self.backend, readers, activities)
            if small:
                feed.add_to_each_feed(self.backend, small)

    def _few_followers(self, users: Sequence[UserId]) -> Iterator[tuple[UserId, list[UserId] | None, Followers | None]]:
        """Yield each user with the followers; with None if they are many, and all of them if a function has them."""
        if self._reads_pages:
            few = self._graph.few_followers(users, LARGE_FAN_OUT, kind=self._graph.kinds[0])
            yield from ((user, found, None) for user, found in few.items())
            return
        for user in users:
            rests = {priority: iter(some) for priority, some in self.get_user_follower_ids(user).items()}
            taken: dict[FanoutPriority | None, list[UserId]] = {}
            room = LARGE_FAN_OUT + 1
            for priority, rest in rests.items():
                taken[priority] = list(islice(rest, room))
                room -= len(taken[priority])
            if room:
                yield user, list(chain.from_iterable(taken.values())), None
            else:
                # The function is called once, because it may ask another service.
                yield user, None, {priority: chain(taken[priority], rest) for priority, rest in rests.items()}

    def remove_user_activity(self, user_id: UserId, activity: ActivityLike) -> None:
        """Remove an activity everywhere: the activity itself, and its entries in all feeds that it was published to.

        Feeds that are reached later by a running fan-out do not show it, because the activity is gone.

        Args:
            user_id: the user or thing in whose feed it was published.
            activity: the activity, or its id.
        """
        known = activity if isinstance(activity, Activity) else self.activities.get(activity)
        activity_id = self.activities.activity_to_id(activity)
        user = user_text(user_id)
        routes = self.publications.routes([activity_id])[activity_id]
        sources = self._sources(user, activity_id, known, routes)
        with self.backend.batch() as batch:
            self.activities.remove(activity_id, batch_interface=batch)
            for source in sources:
                self.get_user_feed(source).remove(activity_id, batch_interface=batch)
        self._remove_from_targets(activity_id, routes)
        for source in sources:
            self._fan_out(JobOperation.REMOVE, source, [activity_id], users=(user,))
        self._forget(activity_id, known, routes)
        self.backend.metrics.on_activity_removed()

    def _forget(self, activity_id: int, known: Activity | None, routes: Sequence[Route]) -> None:
        """Remove the records of an activity; the last step of a removal, which may have to be repeated."""
        if known is not None:
            self.publications.unindex([known])
            self.publications.release(claim_key_of(known), activity_id)
        if routes:
            self.publications.forget_routes(activity_id)

    def retract(
        self, actor: str | int, verb: str, object: str | int | None = None, target: str | int | None = None
    ) -> bool:
        """Remove the unique activity of an actor, verb, object and target; return whether there was one."""
        key = claim_key(actor, verb, object, target)
        claimed = self.publications.claimed(key)
        if claimed is None:
            return False
        self.remove_user_activity(claimed[1], claimed[0])
        # An interrupted removal may have removed the activity before.
        self.publications.release(key, claimed[0])
        return True

    def unique_among(self, actor: str | int, verb: str, objects: Iterable[str | int]) -> set[str | int]:
        """Return those of some objects about which a unique activity of an actor and a verb exists.

        For example, the posts of a page that its reader likes. A bounded number of round trips.
        """
        keys = {claim_key(actor, verb, one, None): one for one in checked_iterable(objects)}
        return {keys[key] for key in self.publications.claimed_among(keys)}

    def remove_object(self, object: str | int) -> int:
        """Remove all activities whose object or target is a thing, and return how many there were.

        The manager needs ``index_objects = True`` from the first such activity on.
        """
        if not self.publications.has_object_index:
            raise InvalidValueError(
                f"{type(self).__name__} keeps no index of objects; set index_objects = True, which indexes the "
                "activities that are added from then on"
            )
        thing, removed = user_text(object), 0
        while ids := self.publications.about(thing, _REMOVED_AT_ONCE):
            for activity in self.activities.get_many(ids):
                self.remove_user_activity(activity.actor, activity)
                removed += 1
            # An interrupted removal leaves the entries of activities that are gone.
            self.publications.drop_from_index(thing, ids)
        return removed

    def batch_import(
        self, user_id: UserId, activities: Iterable[Activity], fanout: bool = True, chunk_size: int = 500
    ) -> int:
        """Store many activities of one user, add them to the user's own feed, and fan them out with low priority.

        Args:
            user_id: the user, who is the actor of all activities.
            activities: any iterable; ``chunk_size`` activities are in memory.
            fanout: whether to add them to the feeds of followers.
            chunk_size: the number of activities of each write.

        Returns:
            The number of imported activities.

        Raises:
            InvalidValueError: An activity has another actor. The chunks before it stay.
        """
        check_limit("chunk_size", chunk_size)
        user, count = user_text(user_id), 0
        rest = iter(checked_iterable(activities))
        while some := list(islice(rest, chunk_size)):
            for activity in some:
                if str(checked_activity(activity).actor) != user:
                    raise InvalidValueError(
                        f"the activity {activity} is not one of {shown(user_id)}; import activities of one user"
                    )
            self._store(user_id, some, ())
            if fanout:
                users = (user,) if self.include_actor else ()
                self._fan_out(JobOperation.ADD, user_id, some, users=users, priority=FanoutPriority.LOW)
            for _ in some:
                self.backend.metrics.on_activity_published()
            count += len(some)
        return count
