"""The Redis backend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from feedstore.backends.redis.activity import RedisActivityStorage
from feedstore.backends.redis.enumeration import key_names_of
from feedstore.backends.redis.keys import collection_of
from feedstore.backends.redis.kv import RedisKvStorage
from feedstore.backends.redis.opening import open_store
from feedstore.backends.redis.queue import RedisQueueStorage
from feedstore.backends.redis.session import RedisSession
from feedstore.backends.redis.timeline import RedisTimelineStorage
from feedstore.errors import InvalidTypeError
from feedstore.metrics import Metrics
from feedstore.storage.backend import Backend
from feedstore.storage.names import StorageNames


class RedisBackend(Backend):
    """A store in one Redis server or a Redis Cluster, 6.2 or newer.

    ``url`` is ``redis://user:password@host:port/database``, ``rediss://…`` (TLS), ``unix:///path/of/socket?db=0``,
    ``redis+cluster://host:port,host:port`` (``rediss+cluster://…``), or
    ``redis+sentinel://host:port,host:port/service/database`` (``rediss+sentinel://…``). Instead of a URL, ``client`` is
    a ready ``redis.Redis`` or ``redis.RedisCluster``. The caller closes it, and it cannot be used after a fork.

    Options, as keywords or in the URL's query:

    - ``namespace``; ``buckets`` (64, the number of slots of a Cluster over which it is spread, fixed at its first
      write); ``colocate`` (one bucket, so that any atomic batch is possible on a Cluster).
    - ``timeout``, ``connect_timeout`` (5 seconds each), ``max_connections`` (100), ``client_name``, ``ssl_ca_certs``,
      ``ssl_certfile``, ``ssl_keyfile``, ``ssl_cert_reqs``, ``ssl_check_hostname``.
    - ``retry_seconds`` (twice ``timeout``, on a Cluster 20 at least): the time for which a call is retried while a
      server restarts, does not answer or runs a long script, a replica is promoted, or a slot moves. All writes are
      idempotent.
    - ``wait_replicas`` (0), ``wait_timeout`` (1 second): each write waits until so many replicas confirm it. If they do
      not, it raises :class:`StorageTimeoutError`, and stays on the primary.
    - ``address_map`` (none): the reachable addresses of nodes that announce others (NAT, containers), as
      ``announced=reachable,announced=reachable``, with or without ports. As a keyword it may be a mapping.
    - ``sentinel_username``, ``sentinel_password`` (none): the credentials for the Sentinels. Those in the URL are for
      the server.
    - ``idle_expiry`` (never): seconds without a write after which the server deletes a timeline.

    An atomic batch is one script, which checks the types of all its keys before its first write. It holds 20
    milliseconds of work at most, and on a Cluster the writes of one bucket.
    """

    session: RedisSession
    activity_storage_class = RedisActivityStorage
    timeline_storage_class = RedisTimelineStorage
    kv_storage_class = RedisKvStorage
    queue_storage_class = RedisQueueStorage

    def __init__(
        self, url: str | None = None, *, client: Any = None, metrics: Metrics | None = None, **options: Any
    ) -> None:
        if (url is None) == (client is None):
            raise InvalidTypeError("pass either a URL or client=")
        store, namespace = open_store(url, client, options)
        super().__init__(RedisSession(store, namespace, metrics))

    def _names(self, known: Mapping[str, str]) -> StorageNames:
        """Return the names by a scan of all keys of the server, on a Cluster by lists of the keys of all buckets."""
        keys = self.session.root().keys()
        collections, kv, queues = set(), set(), set()
        for part in key_names_of(self.session.store, keys):
            kind, _, name = part.partition(b":")
            if kind == b"i":
                kv.add(name.decode())
            elif kind == b"q":
                queues.add(name.decode())
            elif kind.startswith((b".", b"~")):
                collections.add(collection_of(keys.namespace, kind.decode()))
        return StorageNames.found(keys.namespace, known, collections, kv, queues)
