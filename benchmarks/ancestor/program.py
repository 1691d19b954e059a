"""Program for stream_framework's own environment, so it imports nothing of feedstore.

Its arguments are ``memory``, or ``redis``, the path of a server's socket and the number of a database, or
``cassandra``, a node's host and port, and an empty keyspace.

It reads a line of JSON and answers with another, until its input ends:

- ``{"activities": [[actor, verb, object, target, microseconds, extra_context], …]}`` makes activities, which later
  calls name by their number; the answer is ``{}``.
- ``{"calls": [[method, argument, …], …]}`` makes calls of :class:`Calls`; the answer is ``{"seconds": …}``, their time
  together, and ``"last"``: the result of the last call, as ids or a number.
"""

from __future__ import annotations

import collections
import collections.abc
import gc
import json
import os
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from time import perf_counter
from typing import Any

from redis import ConnectionPool, UnixDomainSocketConnection
from stream_framework.activity import Activity, DehydratedActivity  # type: ignore[import-not-found]
from stream_framework.feeds.memory import Feed  # type: ignore[import-not-found]
from stream_framework.feeds.redis import RedisFeed  # type: ignore[import-not-found]
from stream_framework.serializers.activity_serializer import ActivitySerializer  # type: ignore[import-not-found]
from stream_framework.storage.memory import (  # type: ignore[import-not-found]
    InMemoryActivityStorage,
    InMemoryTimelineStorage,
)
from stream_framework.storage.redis import connection  # type: ignore[import-not-found]
from stream_framework.verbs import register  # type: ignore[import-not-found]
from stream_framework.verbs.base import Verb  # type: ignore[import-not-found]

_FIRST_VERB_ID = 100


class _MemoryFeed(Feed):  # type: ignore[misc]
    """The feed in memory, with the serializer that stream_framework's feeds on servers have."""

    key_format = "%(user_id)s"
    activity_serializer = ActivitySerializer


class _RedisFeed(RedisFeed):  # type: ignore[misc]
    """The feed in Redis."""

    key_format = "%(user_id)s"


def _memory() -> tuple[Any, Any, Any]:
    """Return a feed's class and its two storages."""
    return _MemoryFeed, InMemoryActivityStorage(serializer_class=ActivitySerializer), InMemoryTimelineStorage()


def _redis(socket: str, database: str) -> tuple[Any, Any, Any]:
    """Return a feed's class and its two storages, as the class makes them."""
    pool = ConnectionPool(
        connection_class=UnixDomainSocketConnection, path=socket, db=int(database), decode_responses=True
    )
    connection.connection_pool = {"default": pool}
    return _RedisFeed, _RedisFeed.get_activity_storage(), _RedisFeed.get_timeline_storage()


def _cassandra(host: str, port: str, keyspace: str) -> tuple[Any, Any, Any]:
    """Return a feed's class and its two storages: that of activities does nothing, as its timelines hold them whole."""
    from stream_framework import settings  # type: ignore[import-not-found]

    settings.STREAM_CASSANDRA_HOSTS = [host]
    settings.STREAM_DEFAULT_KEYSPACE = keyspace
    settings.CASSANDRA_DRIVER_KWARGS = {"port": int(port), "protocol_version": 5}
    os.environ["CQLENG_ALLOW_SCHEMA_MANAGEMENT"] = "1"
    # It knows the Pythons before 3.10, where this name was there too.
    collections.Hashable = collections.abc.Hashable  # type: ignore[attr-defined]
    # It connects when this is imported.
    from cassandra.cqlengine.management import sync_table
    from stream_framework.feeds.cassandra import CassandraFeed  # type: ignore[import-not-found]

    class Timelines(CassandraFeed.timeline_storage_class):  # type: ignore[misc]
        """Keeps rows of ids alone too."""

        def serialize_activity(self, activity: Any) -> Any:
            """Return a row."""
            if isinstance(activity, DehydratedActivity):
                return self.model(activity_id=activity.serialization_id)
            return super().serialize_activity(activity)

    names = {"key_format": "%(user_id)s", "timeline_cf_name": "timelines", "timeline_storage_class": Timelines}
    feed_class: Any = type("_CassandraFeed", (CassandraFeed,), names)
    timelines = feed_class.get_timeline_storage()
    sync_table(timelines.model, [keyspace])
    return feed_class, feed_class.get_activity_storage(), timelines


_STORES: dict[str, Callable[..., tuple[Any, Any, Any]]] = {
    "memory": _memory,
    "redis": _redis,
    "cassandra": _cassandra,
}


class Calls:
    """The work of the benchmarks' sides, as an application of stream_framework would ask for it."""

    def __init__(self, feed_class: Any, activity_storage: Any, timeline_storage: Any) -> None:
        self.activities: list[Any] = []
        self._feed_class = feed_class
        self._activity_storage = activity_storage
        self._timelines = timeline_storage
        self._verbs: dict[str, Any] = {}
        self._feeds: dict[str, Any] = {}

    def make(self, fields: list[list[Any]]) -> None:
        """Make activities. All ids are numbers here, and times have no timezone."""
        epoch = datetime(1970, 1, 1)  # noqa: DTZ001 - it knows naive times alone
        for actor, verb, object_, target, microseconds, extra_context in fields:
            time = epoch + timedelta(microseconds=microseconds)
            self.activities.append(Activity(actor, self._verb(verb), object_, target, time, extra_context))

    def _verb(self, name: str) -> Any:
        if name not in self._verbs:
            names = {"id": _FIRST_VERB_ID + len(self._verbs), "infinitive": name, "past_tense": name}
            self._verbs[name] = type(name, (Verb,), names)
            register(self._verbs[name])
        return self._verbs[name]()

    def prepared(self, method: str, *arguments: Any) -> tuple[Any, list[Any]]:
        """Return a method, and its arguments with activities in the place of their numbers."""
        if method in ("add_activities", "add_many", "add_to_many"):
            arguments = tuple(
                [self.activities[number] for number in one] if place == (method != "add_activities") else one
                for place, one in enumerate(arguments)
            )
        elif method == "add_ids":
            arguments = (arguments[0], [DehydratedActivity(activity_id) for activity_id in arguments[1]])
        elif method == "newest_hydrated" and arguments[0] not in self._feeds:
            self._feeds[arguments[0]] = self._feed_class(arguments[0])
        return getattr(self, method), list(arguments)

    def add_activities(self, activities: list[Any]) -> None:
        """Serialize and store activities."""
        self._activity_storage.add_many(activities)

    def add_many(self, key: str, activities: list[Any]) -> None:
        """Add activities to one timeline."""
        self._timelines.add_many(key, activities)

    def add_ids(self, key: str, references: list[Any]) -> None:
        """Add references to one timeline."""
        self._timelines.add_many(key, references)

    def add_to_many(self, keys: list[str], activities: list[Any], max_length: int) -> None:
        """Add to one timeline after the other, and trim each: there is no call for many."""
        for key in keys:
            self._timelines.add_many(key, activities)
            self._timelines.trim(key, max_length)

    def newest(self, key: str, limit: int) -> Any:
        """Return dehydrated activities."""
        return self._timelines.get_slice(key, 0, limit)

    def newest_hydrated(self, key: str, limit: int) -> Any:
        """Return activities."""
        return self._feeds[key][:limit]

    def index_of(self, key: str, activity_id: int) -> Any:
        """Return a position."""
        return self._timelines.index_of(key, activity_id)

    def contains(self, key: str, activity_id: int) -> Any:
        """Return whether an id is there."""
        return self._timelines.contains(key, activity_id)

    def count(self, key: str) -> Any:
        """Return a length."""
        return self._timelines.count(key)


def main() -> None:
    """Answer until the input ends."""
    calls = Calls(*_STORES[sys.argv[1]](*sys.argv[2:]))
    for line in sys.stdin:
        request = json.loads(line)
        if "activities" in request:
            calls.make(request["activities"])
            answer: dict[str, Any] = {}
        else:
            answer = _timed([calls.prepared(*call) for call in request["calls"]])
        print(json.dumps(answer), flush=True)


def _timed(prepared: list[tuple[Any, list[Any]]]) -> dict[str, Any]:
    last = None
    gc.collect()
    gc.disable()
    start = perf_counter()
    for method, arguments in prepared:
        last = method(*arguments)
    seconds = perf_counter() - start
    gc.enable()
    if isinstance(last, list):
        last = [activity.serialization_id for activity in last]
    return {"seconds": seconds, "last": last}


if __name__ == "__main__":
    main()
