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

from feedstore.activity import Activity
from feedstore.ingest.follows import InputGraph, StoredReaders
from feedstore.timeline_keys import actor_key

FanOut = tuple[tuple[str, ...], list[Activity]]
"""The keys of timelines, and the activities that are added to each of them."""

DEFAULT_ROWS = 5000
MAX_DELIVERIES = 250_000
"""The most deliveries of a chunk, unless one activity alone makes more. This bounds the memory of a chunk."""

LARGE_FAN_OUT = 400
"""The deliveries with which a fan-out gets its own call. The smaller ones share one call."""


class Chunk:
    """Activities, and the timelines of their actors and followers that they are delivered to.

    ``rows`` is the number of added activities, ``deliveries`` the number of their deliveries to followers' timelines.
    If two activities have the same id, the later one replaces the earlier one.
    """

    def __init__(self, follows: InputGraph | StoredReaders, max_rows: int = DEFAULT_ROWS) -> None:
        self._follows = follows
        self._max_rows = max_rows
        self._activities: dict[int, Activity] = {}
        self._by_actor: dict[str, FanOut] = {}
        self.rows = 0
        self.deliveries = 0

    @property
    def activities(self) -> list[Activity]:
        """The distinct activities, in the order of :meth:`add`."""
        return list(self._activities.values())

    @property
    def followed_actors(self) -> list[str]:
        """The actors of the activities that followers' timelines get."""
        return [actor for actor, (readers, _) in self._by_actor.items() if readers]

    @property
    def is_full(self) -> bool:
        """Whether it is time to store the chunk."""
        return self.rows >= self._max_rows or self.deliveries >= MAX_DELIVERIES

    def add(self, activity: Activity) -> None:
        """Add one activity."""
        actor = activity.actor
        if actor.__class__ is not str:
            actor = str(actor)
        fan_out = self._by_actor.get(actor)
        if fan_out is None:
            fan_out = self._by_actor[actor] = self._follows.readers_of(actor), []
        fan_out[1].append(activity)
        self._activities[activity.serialization_id] = activity
        self.rows += 1
        self.deliveries += len(fan_out[0])

    def by_actor(self) -> dict[str, list[Activity]]:
        """Return the activities for the actors' own timelines, by the timeline's key."""
        return {actor_key(actor): activities for actor, (_, activities) in self._by_actor.items()}

    def deliveries_by_size(self) -> tuple[list[FanOut], dict[str, list[Activity]]]:
        """Return the deliveries to followers' timelines: the large fan-outs, and all other deliveries by timeline.

        Actors with the same followers form one fan-out, so that few calls carry many activities each.
        """
        groups: dict[int, FanOut] = {}
        for readers, activities in self._by_actor.values():
            if readers:
                groups.setdefault(id(readers), (readers, []))[1].extend(activities)
        large: list[FanOut] = []
        small: dict[str, list[Activity]] = {}
        merged: set[str] = set()
        for readers, activities in groups.values():
            if len(readers) * len(activities) >= LARGE_FAN_OUT:
                large.append((readers, activities))
                continue
            for key in readers:
                known = small.get(key)
                if known is None:
                    # Timelines with the same activities share one list, which is then serialized once.
                    small[key] = activities
                elif key in merged:
                    known += activities
                else:
                    small[key] = known + activities
                    merged.add(key)
        return large, small
