"""The Redis backend."""

from __future__ import annotations

from typing import Any

from feedstore.backends.redis.activity import RedisActivityStorage
from feedstore.backends.redis.kv import RedisKvStorage
from feedstore.backends.redis.opening import open_store
from feedstore.backends.redis.queue import RedisQueueStorage
from feedstore.backends.redis.session import RedisSession
from feedstore.backends.redis.timeline import RedisTimelineStorage
from feedstore.errors import InvalidTypeError
from feedstore.metrics import Metrics
from feedstore.storage.backend import Backend


class RedisBackend(Backend):
    """A store in one Redis server or a Redis Cluster, 6.0 or newer.

    ``url`` is ``redis://user:password@host:port/database``, ``rediss://…`` (TLS), ``unix:///path/of/socket?db=0``,
    ``redis+cluster://host:port,host:port`` (``rediss+cluster://…``), or
    ``redis+sentinel://host:port,host:port/service/database`` (``rediss+sentinel://…``). Or ``client`` is a ready
    ``redis.Redis`` or ``redis.RedisCluster``, which stays the caller's to close and may not be used after a fork.

    Options, by keyword or in the URL's query:

    - ``namespace``; ``buckets`` (64; into how many slots of a Cluster it is spread, fixed at its first write);
      ``colocate`` (one bucket, so that any atomic batch is possible on a Cluster).
    - ``timeout``, ``connect_timeout`` (5 seconds each), ``max_connections`` (100), ``client_name``, ``ssl_ca_certs``,
      ``ssl_certfile``, ``ssl_keyfile``, ``ssl_cert_reqs``, ``ssl_check_hostname``.
    - ``retry_seconds`` (twice ``timeout``; on a Cluster 20 at least): how long a call goes on trying while a server
      restarts, gives no answer or runs a long script, a replica is promoted or a slot moves. A write that is sent twice
      changes nothing twice.
    - ``wait_replicas`` (0), ``wait_timeout`` (1 second): each write waits until so many replicas confirm it, and raises
      :class:`StorageTimeoutError` if they do not; it stays written on the primary.
    - ``address_map`` (none): where to reach nodes that name other addresses, behind NAT or in containers, as
      ``named=reached,named=reached``, with ports or without; by keyword also a mapping.
    - ``sentinel_username``, ``sentinel_password`` (none): the credentials at the Sentinels; those in the URL are the
      server's.
    - ``idle_expiry`` (never): seconds after which a timeline that nobody writes to is deleted by the server.

    An atomic batch is one script, which checks the types of all its keys before its first write. It holds 20
    milliseconds of work at most, on a Cluster the writes of one bucket, or of all with ``colocate``.
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
            raise InvalidTypeError("pass a URL or client=, and not both")
        store, namespace = open_store(url, client, options)
        super().__init__(RedisSession(store, namespace, metrics))
