"""A chunk: the activities that are stored, delivered and checkpointed in one step.

Measured: the grouping and the number of rows, on SQLite, with the 236,741 activities and 7.8 million deliveries of
``examples/data/dev-review-feed`` (CPython 3.11; thousands of deliveries for each second of processor time, of the whole
ingestion)::

    rows in a chunk                                  500   2,000   5,000   20,000
    one call for each set of followers               410     524     594      649
    one call for each reader, or readers alike       379     487     535      548

With more rows in a chunk, the store visits the same timeline less often. With 5,000 rows, the lock is still free for
other writers about three times a second. The process used 115 to 160 MB.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

from feedstore.activity import Activity
from feedstore.errors import InvalidValueError
from feedstore.fanout import FeedManager, FollowGraph
from feedstore.fanout.bulk import FanOut, FanOuts, divide_by_size
from feedstore.feeds import UserId
from feedstore.ids import first_id_at

DEFAULT_ROWS = 5000
MAX_DELIVERIES = 250_000
"""The most deliveries of a chunk, unless one activity alone makes more. This bounds the memory of a chunk."""

_FOLLOWERS_AT_ONCE = 1000


class ActorFollowers(NamedTuple):
    """The followers of an actor.

    ``since`` holds the first id that each follower receives, in ascending order; None: each receives all activities.
    """

    names: tuple[str, ...]
    since: list[int] | None = None

    def receiving(self, activity: Activity) -> tuple[str, ...]:
        """Return the followers that receive an activity: those whose follow is not younger."""
        if self.since is None:
            return self.names
        return self.names[: bisect_right(self.since, activity.serialization_id)]


class Readers:
    """The followers of actors, as the follow graph or the application of a manager returns them.

    The followers of each actor are read once, and stay in memory; a later follow does not change the deliveries of the
    same object. Actors with the same followers share one tuple.

    Args:
        manager: the manager.
        from_follow: whether a follower receives only the activities from the time of the follow on. The manager then
            has a follow graph.

    Raises:
        InvalidValueError: ``from_follow`` without a follow graph, or with a manager that does not deliver in place.
    """

    def __init__(self, manager: FeedManager, from_follow: bool = False) -> None:
        if from_follow and (manager.graph is None or not manager.delivers_in_place):
            raise InvalidValueError(
                "from_follow needs a manager with a FollowGraph, an InlineExecutor and no policy, because jobs and "
                f"functions know no times of follows; pass another one than {manager}, or omit it"
            )
        self._manager = manager
        self._graph = manager.graph if from_follow else None
        self._followers: dict[str, ActorFollowers] = {}
        self._shared: dict[tuple[str, ...], tuple[str, ...]] = {}

    def of(self, actor: str) -> ActorFollowers:
        """Return the followers of an actor."""
        found = self._followers.get(actor)
        if found is None:
            found = self._read(actor) if self._graph is None else self._read_since(self._graph, actor)
            self._followers[actor] = found
        return found

    def _read(self, actor: str) -> ActorFollowers:
        groups = self._manager.get_user_follower_ids(actor).values()
        names = {str(one) for some in groups for one in some}
        if self._manager.include_actor:
            names.add(actor)
        ordered = tuple(sorted(names))
        return ActorFollowers(self._shared.setdefault(ordered, ordered))

    def _read_since(self, graph: FollowGraph, actor: str) -> ActorFollowers:
        cursor = None
        since = {actor: 0} if self._manager.include_actor else {}
        while True:
            page = graph.followers(actor, _FOLLOWERS_AT_ONCE, cursor, kind=graph.kinds[0])
            for follow in page:
                since.setdefault(str(follow.name), first_id_at(follow.since))
            cursor = page.next_cursor
            if cursor is None:
                break
        ordered = sorted(since, key=lambda name: (since[name], name))
        return ActorFollowers(tuple(ordered), [since[name] for name in ordered])


class Chunk:
    """Activities, and the readers that they are delivered to.

    ``rows`` is the number of added activities, ``deliveries`` the number of their deliveries to readers. If two
    activities have the same id, the later one replaces the earlier one.
    """

    def __init__(self, readers: Readers, max_rows: int = DEFAULT_ROWS) -> None:
        self._readers = readers
        self._max_rows = max_rows
        self._activities: dict[int, Activity] = {}
        self._by_actor: dict[str, tuple[ActorFollowers, list[Activity]]] = {}
        self.rows = 0
        self.deliveries = 0

    @property
    def activities(self) -> list[Activity]:
        """The distinct activities, in the order of :meth:`add`."""
        return list(self._activities.values())

    @property
    def followed_actors(self) -> list[str]:
        """The actors of the activities that have followers."""
        return [actor for actor, (followers, _) in self._by_actor.items() if followers.names]

    @property
    def is_full(self) -> bool:
        """Whether it is time to store the chunk."""
        return self.rows >= self._max_rows or self.deliveries >= MAX_DELIVERIES

    def add(self, activity: Activity) -> None:
        """Add one activity."""
        actor = activity.actor
        if actor.__class__ is not str:
            actor = str(actor)
        found = self._by_actor.get(actor)
        if found is None:
            found = self._by_actor[actor] = self._readers.of(actor), []
        followers, activities = found
        activities.append(activity)
        self._activities[activity.serialization_id] = activity
        self.rows += 1
        self.deliveries += len(followers.names if followers.since is None else followers.receiving(activity))

    def by_actor(self) -> dict[UserId, list[Activity]]:
        """Return the activities of each actor."""
        return {actor: activities for actor, (_, activities) in self._by_actor.items()}

    def deliveries_by_size(self) -> FanOuts:
        """Return the deliveries to readers.

        Activities with the same readers form one fan-out, so that few calls carry many activities each.
        """
        return divide_by_size(self._fan_outs())

    def _fan_outs(self) -> Iterator[FanOut]:
        groups: dict[tuple[int, int], tuple[tuple[str, ...], list[Activity]]] = {}
        for followers, activities in self._by_actor.values():
            names = followers.names
            if followers.since is None:
                groups.setdefault((id(names), len(names)), (names, []))[1].extend(activities)
                continue
            for activity in activities:
                readers = followers.receiving(activity)
                groups.setdefault((id(names), len(readers)), (readers, []))[1].append(activity)
        return ((readers, activities) for readers, activities in groups.values() if readers)
