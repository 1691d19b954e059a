"""The storages in which the data of a person may lie."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from feedstore.errors import InvalidTypeError, InvalidValueError
from feedstore.events.layout import COLLECTION as EVENTS
from feedstore.events.layout import DAYS, PLACES, VERSIONS
from feedstore.fanout.feed_classes import FeedClass, HomeFeed, UserFeed
from feedstore.fanout.follow_graph import FollowGraph
from feedstore.fanout.manager_core import ManagerCore
from feedstore.fanout.publications import Publications
from feedstore.fanout.queue_executor import QueueExecutor
from feedstore.feeds import AggregatedFeed, Feed, NotificationFeed
from feedstore.ingest.checkpoint import KV_NAME as INGEST
from feedstore.shown import shown
from feedstore.storage import ActivityStorage, Backend, QueueStorage, StorageNames
from feedstore.storage.backend import checked_backend
from feedstore.storage.checks import DEFAULT_NAME, checked_iterable

STATE = "erasure"
"""The name of the collection and of the key-value storage that hold the progress of erasures."""
_MANAGER = "fanout"
OWN_COLLECTIONS = (EVENTS, PLACES, STATE, "follow-graph", f"{_MANAGER}-routes", f"{_MANAGER}-objects")
"""The collections of event stores and erasures, and those of follow graphs and feed managers with default names."""
_OWN_KV = ("unique", "dead", "crashes", "progress", "visits", "producers")
_FEEDS: tuple[FeedClass, ...] = (Feed, HomeFeed, UserFeed, AggregatedFeed, NotificationFeed)


class Scope:
    """The storages of a namespace in which the data of a person may lie.

    By default those are the collections of activities and timelines whose names the store knows, the follow graph and
    the records of a :class:`~feedstore.fanout.FeedManager` with their default names, and the event store.
    :attr:`not_covered` names the others.

    Args:
        backend: The backend.
        managers: The feed managers of the application, with their feed classes, graphs, records and queues.
        graphs: Follow graphs with other names or kinds than those of the managers and the default one.
        feeds: The feed classes of an application without a manager. The default ones of feedstore are known.
        activities: Activity storages by the name of their collection, for those with other serializers than the
            default one.
        queues: Queues of the application, whose messages are removed if they hold the name.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        managers: Iterable[ManagerCore] = (),
        graphs: Iterable[FollowGraph] = (),
        feeds: Iterable[FeedClass] = (),
        activities: Mapping[str, ActivityStorage[Any]] | None = None,
        queues: Iterable[QueueStorage] = (),
    ) -> None:
        self.backend = checked_backend(backend)
        self.managers = [self._checked_manager(one) for one in checked_iterable(managers)]
        self.feeds = _distinct_feeds(self.managers, feeds)
        found = [FollowGraph(backend), *(one.graph for one in self.managers), *graphs]
        self.graphs = list({(one.name, one.kinds): one for one in found if one is not None}.values())
        self.manager_names = list(dict.fromkeys([_MANAGER, *(one.name for one in self.managers)]))
        self.publications = [Publications(backend, name, True) for name in self.manager_names]
        self.queues = _distinct_queues(self.managers, queues)
        self._activities = dict(activities or {})
        self._objects = {one.objects_name for one in self.publications}
        # An application without an event store may give its own collection this name.
        self._has_events = backend.timeline_storage(name=EVENTS).count(DAYS) > 0
        of_feeds = {name for one in self.feeds for name in (one.timeline_name, one.activity_name)}
        known = {*OWN_COLLECTIONS, *self._special, *self._objects, *of_feeds, *self._activities}
        self._names = backend.names(known)

    def _checked_manager(self, manager: Any) -> ManagerCore:
        if not isinstance(manager, ManagerCore):
            raise InvalidTypeError(f"managers must be feed managers, not {shown(manager)}")
        if not manager.backend.session.shares_batches_with(self.backend.session):
            raise InvalidValueError(f"{manager} has another backend than {self.backend}; pass the same one")
        return manager

    @property
    def _special(self) -> set[str]:
        routes = {one.routes_name for one in self.publications}
        events = {EVENTS, PLACES} if self._has_events else set()
        return {STATE, *events, *routes, *(one.name for one in self.graphs)}

    def activity_storages(self) -> dict[str, ActivityStorage[Any]]:
        """Return the storages of activities by the names of their collections."""
        names = {DEFAULT_NAME, *self._names.collections, *(one.activity_name for one in self.feeds), *self._activities}
        backend = self.backend
        return {
            name: self._activities.get(name) or backend.activity_storage(name=name)
            for name in sorted(names - self._special - self._objects)
        }

    def timeline_names(self) -> list[str]:
        """Return the names of the collections of timelines."""
        names = {DEFAULT_NAME, *self._names.collections, *self._objects, *(one.timeline_name for one in self.feeds)}
        return sorted(names - self._special)

    def activities_of(self, timelines: str) -> set[str]:
        """Return the names of the collections of activities to which the entries of some timelines may refer."""
        pairs = {(one.timeline_name, one.activity_name) for one in self.feeds}
        pairs |= {(f"{one.name}-objects", one.feeds.user.activity_name) for one in self.managers}
        return {timelines, DEFAULT_NAME, *(activities for name, activities in pairs if name == timelines)}

    def own_timelines(self, person: str) -> dict[tuple[str, str], bool]:
        """Return the timelines of a person by collection and key, and whether each holds marks."""
        keys: dict[tuple[str, str], bool] = {}
        for feed in self.feeds:
            own = feed(person, self.backend)
            keys[feed.timeline_name, own.key] = False
            keys |= {(feed.timeline_name, key): True for key in own._companion_keys()}
        return keys

    @property
    def not_covered(self) -> list[str]:
        """The data that the scope does not reach, by name."""
        known = {f"{name}-{suffix}" for name in self.manager_names for suffix in _OWN_KV}
        known |= {VERSIONS, STATE, INGEST, *(one.name for one in self.graphs)}
        missing = [f"the key-value storage {shown(name)}" for name in self._names.kv if name not in known]
        queues = {one.name for one in self.queues}
        missing += [f"the queue {shown(name)}" for name in self._names.queues or () if name not in queues]
        return [*missing, *_unnamed(self._names)]


def _unnamed(names: StorageNames) -> list[str]:
    unnamed = []
    if names.queues is None:
        unnamed.append("queues that were not passed, because the store keeps only hashes of their names")
    if not names.is_complete:
        unnamed.append("collections that were not passed, of whose names the store keeps only hashes")
    return unnamed


def _distinct_feeds(managers: Iterable[ManagerCore], feeds: Iterable[FeedClass]) -> list[FeedClass]:
    of_managers = [one for manager in managers for one in manager.feeds.by_name.values()]
    return list(dict.fromkeys([*_FEEDS, *of_managers, *checked_iterable(feeds)]))


def _distinct_queues(managers: Iterable[ManagerCore], queues: Iterable[QueueStorage]) -> list[QueueStorage]:
    executors = [one.executor for one in managers if isinstance(one.executor, QueueExecutor)]
    found = [*(queue for one in executors for queue in one.queues.values()), *checked_iterable(queues)]
    return list({(one.session.namespace, one.name): one for one in found}.values())
