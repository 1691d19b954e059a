"""Program for stream_framework's own environment, so it imports nothing of feedstore.

It writes the data of an application.
Its arguments are ``redis`` and a server's port and database, or ``cassandra``, a node's host and port, and a keyspace.
It prints a line of JSON with the results of stream_framework's own reads.
"""

from __future__ import annotations

import collections
import collections.abc
import json
import os
import sys
from datetime import datetime, timedelta
from typing import Any

from stream_framework import settings  # type: ignore[import-not-found]
from stream_framework.activity import Activity  # type: ignore[import-not-found]
from stream_framework.verbs import register  # type: ignore[import-not-found]
from stream_framework.verbs.base import Love, Verb  # type: ignore[import-not-found]

START = datetime(2013, 7, 4, 12, 0, 0, 123456)  # noqa: DTZ001 - stream_framework knows naive times alone


class Share(Verb):  # type: ignore[misc]
    """The verb of the application."""

    id = 5
    infinitive = "share"
    past_tense = "shared"


register(Share)


def activities(count: int) -> list[Any]:
    """Return activities: each of the first two shares its millisecond with another one."""
    made = [
        Activity(13, Love, 2013, None, START, {"source": "mobile", "tags": ("a", "b"), "note": "é, ü"}),
        Activity(13, Love, 2014, None, START, None),
        Activity(14, Share(), 2015, 77, START + timedelta(seconds=1), {"at": START}),
    ]
    return made + [Activity(15 + n % 5, Love(), 3000 + n, None, START + timedelta(minutes=n)) for n in range(1, count)]


def write_redis(port: str, database: str) -> dict[str, Any]:
    """Write flat, aggregated and notification feeds."""
    settings.STREAM_REDIS_CONFIG = {
        "default": {"host": "127.0.0.1", "port": int(port), "db": int(database), "password": None}
    }
    from stream_framework.feeds.aggregated_feed.redis import RedisAggregatedFeed  # type: ignore[import-not-found]
    from stream_framework.feeds.notification_feed.redis import RedisNotificationFeed  # type: ignore[import-not-found]
    from stream_framework.feeds.redis import RedisFeed  # type: ignore[import-not-found]

    class Flat(RedisFeed):  # type: ignore[misc]
        key_format = "feed:normal:%(user_id)s"

    class Grouped(RedisAggregatedFeed):  # type: ignore[misc]
        key_format = "feed:aggregated:%(user_id)s"

    made = activities(40)
    Flat.insert_activities(made)
    for user in (1, 2):
        Flat(user).add_many(made[user:])
    Grouped(1).add_many(made)
    notified = RedisNotificationFeed(1)
    notified.add_many(made[:3])
    notified.mark_all(seen=True, read=False)
    notified.add_many(made[3:6])
    shown = notified[:20]
    return {
        "flat": {str(user): [one.serialization_id for one in Flat(user)[:100]] for user in (1, 2)},
        "grouped": [[one.group, one.activity_count] for one in Grouped(1)[:20]],
        "notified": [[one.group, one.is_seen, one.is_read] for one in shown],
        "contexts": {str(one.serialization_id): str(one.extra_context) for one in made if one.extra_context},
    }


def write_cassandra(host: str, port: str, keyspace: str) -> dict[str, Any]:
    """Write flat and aggregated feeds, whose rows hold the activities."""
    settings.STREAM_CASSANDRA_HOSTS = [host]
    settings.STREAM_DEFAULT_KEYSPACE = keyspace
    settings.CASSANDRA_DRIVER_KWARGS = {"port": int(port), "protocol_version": 5}
    os.environ["CQLENG_ALLOW_SCHEMA_MANAGEMENT"] = "1"
    # It knows the Pythons before 3.10, where this name was there too.
    collections.Hashable = collections.abc.Hashable  # type: ignore[attr-defined]
    # It connects when this is imported.
    from cassandra.cqlengine.management import sync_table
    from stream_framework.feeds.aggregated_feed.cassandra import (  # type: ignore[import-not-found]
        CassandraAggregatedFeed,
    )
    from stream_framework.feeds.cassandra import CassandraFeed  # type: ignore[import-not-found]

    class Flat(CassandraFeed):  # type: ignore[misc]
        key_format = "feed:%(user_id)s"
        timeline_cf_name = "timelines"

    class Grouped(CassandraAggregatedFeed):  # type: ignore[misc]
        key_format = "aggregated:%(user_id)s"

    for feed_class in (Flat, Grouped):
        sync_table(feed_class.get_timeline_storage().model, [keyspace])
    made = activities(20)
    for user in (1, 2):
        Flat(user).add_many(made[user:])
    Grouped(1).add_many(made[:6])
    return {
        "flat": {str(user): [one.serialization_id for one in Flat(user)[:100]] for user in (1, 2)},
        "grouped": [[one.group, len(one.activities)] for one in Grouped(1)[:20]],
    }


if __name__ == "__main__":
    kind, *arguments = sys.argv[1:]
    sys.stdout.write(json.dumps((write_redis if kind == "redis" else write_cassandra)(*arguments)))
