"""The records of a manager: the routes of activities to feeds, unique activities, and the index of objects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice
from typing import Any

from feedstore.activity import Activity
from feedstore.errors import ConditionFailedError, InvalidTypeError
from feedstore.fanout.edges import token_of
from feedstore.ids import ID_BYTES, ActivityLike, id_from_bytes, id_to_text, parse_id
from feedstore.serializers import Serializer
from feedstore.serializers.base import wrong_format
from feedstore.serializers.values import pack_value, unpack_value
from feedstore.shown import shown
from feedstore.storage import AtomicScope, Backend, Batch
from feedstore.storage.kv import KvStorage

FORMAT = 0x52
_PREFIX = bytes([FORMAT])
_MOST_ATTEMPTS = 100
_ROUTES_AT_ONCE = 500
USER_FEED = "user"
"""The name of the feed of a user's own activities, as a target."""


@dataclass(frozen=True, slots=True)
class Route:
    """A feed to which an activity was published directly, not through a follow.

    Attributes:
        feed: the name of the feed's class in the manager; ``"user"`` is the user feed.
        user: the user or thing whose feed it is, as a str.
        reaches_followers: whether the activity also goes to the feeds of the followers of ``user``.
    """

    feed: str
    user: str
    reaches_followers: bool

    @property
    def serialization_id(self) -> int:
        """The id of the route's entry, which depends on the feed alone."""
        data = f"{self.feed}:{self.user}".encode()
        return id_from_bytes(blake2b(data, digest_size=ID_BYTES).digest())


class RouteSerializer(Serializer[Route]):
    """The serializer of the routes of an activity.

    Format ``0x52``: that byte, then ``[feed, user, reaches_followers]`` as a plain value.
    """

    def dumps(self, activity: Any) -> bytes:
        """Return the bytes of a route."""
        if not isinstance(activity, Route):
            raise InvalidTypeError(f"{type(self).__name__} stores routes, not {shown(activity)}")
        return _PREFIX + pack_value([activity.feed, activity.user, activity.reaches_followers])

    def loads(self, data: bytes, activity_id: int) -> Route:
        """Return the route of an entry."""
        if data[:1] != _PREFIX:
            raise wrong_format(data, FORMAT, activity_id)
        return Route(*unpack_value(data[1:]))


class Publications:
    """The records of the published activities of a manager.

    An activity that was published by its actor, and to no other feed, needs no record of its routes.
    """

    def __init__(self, backend: Backend, name: str, has_object_index: bool) -> None:
        self.backend = backend
        self.has_object_index = has_object_index
        self.routes_name, self.objects_name = f"{name}-routes", f"{name}-objects"
        self._routes = backend.timeline_storage(RouteSerializer, name=self.routes_name)
        self._objects = backend.timeline_storage(name=self.objects_name)
        self._claims = backend.kv_storage(f"{name}-unique")

    def routes(self, activity_ids: Iterable[int]) -> dict[int, list[Route]]:
        """Return the recorded routes of activities by id. A bounded number of round trips."""
        keys = {_routes_key(activity_id): activity_id for activity_id in activity_ids}
        found = self._routes.get_many_slices(keys, 0, None)
        return {activity_id: found[key] for key, activity_id in keys.items()}

    def add_routes(self, activity_id: int, routes: Iterable[Route], batch: Batch | None = None) -> None:
        """Record routes of an activity."""
        self._routes.add_many(_routes_key(activity_id), routes, batch_interface=batch)

    def remove_routes(self, activity_id: int, routes: Iterable[Route]) -> None:
        """Remove routes from the record of an activity."""
        self._routes.remove_many(_routes_key(activity_id), routes)

    def forget_routes(self, activity_id: int) -> None:
        """Remove the record of the routes of an activity."""
        self._routes.delete(_routes_key(activity_id))

    def index(self, activities: Iterable[Activity], batch: Batch | None = None) -> None:
        """Add activities to the index of their objects and targets, if the manager keeps one."""
        if entries := self._index_entries(activities):
            self._objects.add_to_each(entries, batch_interface=batch)

    def unindex(self, activities: Iterable[Activity]) -> None:
        """Remove activities from the index of their objects and targets."""
        for key, some in self._index_entries(activities).items():
            self._objects.remove_many(key, some)

    def _index_entries(self, activities: Iterable[Activity]) -> dict[str, list[Activity]]:
        entries: dict[str, list[Activity]] = {}
        if self.has_object_index:
            for activity in activities:
                for thing in {str(one) for one in (activity.object, activity.target) if one is not None}:
                    entries.setdefault(token_of(thing), []).append(activity)
        return entries

    def about(self, thing: str, limit: int) -> list[int]:
        """Return the ids of up to ``limit`` newest activities with an object or a target, from the index."""
        return [one.serialization_id for one in self._objects.get_slice(token_of(thing), 0, limit)]

    def drop_from_index(self, thing: str, activity_ids: Iterable[int]) -> None:
        """Remove activities from the index of one thing."""
        self._objects.remove_many(token_of(thing), activity_ids)

    def claim(self, activity: Activity, own: dict[str, Any]) -> dict[str, Any] | None:
        """Let an activity be the unique one of its actor, verb, object and target.

        Args:
            activity: the activity.
            own: its claim, which :func:`claim_of` makes.

        Returns:
            None if it is now, or was before. Otherwise the claim of the other activity.
        """
        key = claim_key_of(activity)
        for _ in range(_MOST_ATTEMPTS):
            if self._claims.insert(key, own):
                return None
            other: dict[str, Any] | None = self._claims.get(key)
            if other is not None:
                is_own = all(other[name] == own[name] for name in ("activity", "user"))
                return None if is_own else other
        raise ConditionFailedError(f"the claim {shown(key)} was changed by others {_MOST_ATTEMPTS} times; call again")

    def take_over(self, activity: Activity, own: dict[str, Any], other: dict[str, Any]) -> bool:
        """Replace the claim of an activity that no longer exists; return whether that succeeded."""
        return bool(self._claims.replace(claim_key_of(activity), other, own))

    def claimed(self, key: str) -> tuple[int, str] | None:
        """Return the id and the publisher of the unique activity of a claim's key, or None."""
        found = self._claims.get(key)
        return None if found is None else (parse_id(found["activity"]), found["user"])

    def claimed_among(self, keys: Iterable[str]) -> set[str]:
        """Return those of some claims' keys that have a unique activity. A bounded number of round trips."""
        return set(self._claims.fetch_many(keys))

    def release(self, key: str, activity: ActivityLike) -> None:
        """Remove a claim if it is that of an activity."""
        found = self._claims.get(key)
        if found is not None and parse_id(found["activity"]) == self._objects.activity_to_id(activity):
            # Another process may change the claim, which is no longer that of this activity then.
            delete_unchanged(self.backend, self._claims, key, found)

    def forget_activities(self, activities: Sequence[Activity]) -> None:
        """Remove the records of activities that the caller removes. A bounded number of round trips, and a few more for
        each unique activity and for each with routes."""
        self.unindex(activities)
        claimed = self.claimed_among(map(claim_key_of, activities))
        routes = self.routes([one.serialization_id for one in activities])
        for activity in activities:
            if claim_key_of(activity) in claimed:
                self.release(claim_key_of(activity), activity)
            if routes[activity.serialization_id]:
                self.forget_routes(activity.serialization_id)

    def mentions(self, user: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the records that name a user: the name of their storage, and their content.

        Those are the claims of the user's activities and of those in the user's feeds, and the routes to the user's
        feeds. It reads all records.
        """
        own = f"{{{token_of(user)}}}:"
        for key, claim in self._claims.items():
            if key.startswith(own) or claim["user"] == user or _routes_to(user, claim):
                yield self._claims.name, {"key": key, **claim}
        for key, route in self._all_routes():
            if route.user == user:
                yield self.routes_name, {"activity": id_to_text(int(key, 16)), "feed": route.feed}

    def forget_user(self, user: str) -> int:
        """Remove the records that name a user, and return how many there were. It reads all records.

        A claim of another activity that goes to a feed of the user stays, without the user.
        """
        own, count = f"{{{token_of(user)}}}:", 0
        for key, claim in self._claims.items():
            is_own = key.startswith(own) or claim["user"] == user
            if not is_own and not _routes_to(user, claim):
                continue
            if is_own:
                delete_unchanged(self.backend, self._claims, key, claim)
            else:
                others = [one for one in claim["routes"] if one[1] != user]
                self._claims.replace(key, claim, {**claim, "routes": others})
            count += 1
        for key, route in self._all_routes():
            if route.user == user:
                self._routes.remove(key, route.serialization_id)
                count += 1
        if not self._objects.count(token_of(user)):
            # SQL stores keep the key of a timeline that has become empty.
            self._objects.delete(token_of(user))
        return count

    def _all_routes(self) -> Iterator[tuple[str, Route]]:
        keys = self._routes.keys()
        while some := list(islice(keys, _ROUTES_AT_ONCE)):
            for key, routes in self._routes.get_many_slices(some, 0, None).items():
                yield from ((key, route) for route in routes)


def _routes_to(user: str, claim: Mapping[str, Any]) -> bool:
    return any(route[1] == user for route in claim.get("routes", ()))


def delete_unchanged(backend: Backend, kv: KvStorage, key: str, value: Any) -> None:
    """Delete an item that another process may change, if it still has the value that was read.

    On a store without conditional batches, delete it with any value.
    """
    abilities = backend.abilities
    if not abilities.conditional_batches or abilities.atomic_scope is AtomicScope.NONE:
        kv.delete(key)
        return
    try:
        with backend.batch(atomic=True) as batch:
            kv.require(key, value, batch_interface=batch)
            kv.delete(key, batch_interface=batch)
    except ConditionFailedError:
        # The other process decides about the item now.
        return


def claim_of(activity: Activity, user: str, routes: Iterable[Route], to_own: bool) -> dict[str, Any]:
    """Return the claim of a unique activity: its id, and the arguments with which another call completes its call.

    Args:
        activity: the activity.
        user: the user in whose feed it is published.
        routes: its routes that must be recorded.
        to_own: whether it goes to the feeds of ``user`` too.
    """
    claim: dict[str, Any] = {"activity": id_to_text(activity.serialization_id), "user": user}
    if pairs := [[one.feed, one.user, one.reaches_followers] for one in routes]:
        claim["routes"] = pairs
    return {**claim, "to_own": True} if to_own else claim


def claim_key(actor: str | int, verb: str, object_: str | int | None, target: str | int | None) -> str:
    """Return the key of a unique activity's claim: its actor, and a hash of the other parts of its identity."""
    parts = [None if one is None else str(one) for one in (verb, object_, target)]
    return f"{{{token_of(str(actor))}}}:{blake2b(pack_value(parts), digest_size=ID_BYTES).hexdigest()}"


def claim_key_of(activity: Activity) -> str:
    """Return the key of the claim of an activity."""
    return claim_key(activity.actor, activity.verb, activity.object, activity.target)


def _routes_key(activity_id: int) -> str:
    return f"{activity_id:032x}"
