"""The Redis backend."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from feedstore.backends.redis.activity import RedisActivityStorage
from feedstore.backends.redis.batch import RedisTransaction, Write
from feedstore.backends.redis.command import Command
from feedstore.backends.redis.keys import Keys, channel_of, collection_part
from feedstore.backends.redis.kv import RedisKvStorage
from feedstore.backends.redis.opening import open_store
from feedstore.backends.redis.queue import RedisQueueStorage
from feedstore.backends.redis.source import RedisSource
from feedstore.backends.redis.store import Store
from feedstore.backends.redis.timeline import RedisTimelineStorage
from feedstore.backends.store_backend import StoreBackend
from feedstore.errors import AtomicityError, InvalidTypeError
from feedstore.metrics import Metrics
from feedstore.storage import Abilities, AtomicScope
from feedstore.storage.batch import Operation
from feedstore.storage.notify.registry import Topic
from feedstore.storage.notify.source import TopicSource
from feedstore.storage.transaction import Pending, Transaction

_MOST_DIGESTS = 1000
_Result = TypeVar("_Result")


class RedisBackend(StoreBackend[Store]):
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
        super().__init__(store, namespace, metrics)
        reaches_everything = not store.is_cluster or store.settings.buckets == 1
        scope = AtomicScope.BACKEND if reaches_everything else AtomicScope.SLOT
        self.abilities = Abilities(exact_floor=False, atomic_scope=scope)

    def keys(self) -> Keys:
        """Return the names of the collection's Redis keys, to read them."""
        return self.store.keys(self._root_namespace).of_collection(self._part)

    def keys_to_write(self) -> Keys:
        """Return the names of the collection's Redis keys; the namespace is marked now if it is new."""
        return self.store.keys_to_write(self._root_namespace).of_collection(self._part)

    @property
    def _part(self) -> str:
        return collection_part(self._root_namespace, self.namespace)

    def write(
        self, transaction: Transaction, writes: Sequence[Write], result: Callable[[list[Any]], _Result]
    ) -> Pending[_Result]:
        """Add writes to the transaction of a batch, else send them; ``result`` makes the result of their counts."""
        if isinstance(transaction, RedisTransaction):
            return transaction.add(writes, result)
        return Pending(result(self.store.carry_out(self.keys_to_write(), writes)))

    def make_source(self) -> TopicSource:
        """Changes are published on a channel for each namespace."""
        return RedisSource(self.store)

    def publish_topics(self, topics: Sequence[Topic]) -> None:
        """One round trip."""
        digests = [topic.digest for topic in topics]
        messages = [b"".join(digests[first : first + _MOST_DIGESTS]) for first in range(0, len(digests), _MOST_DIGESTS)]
        channel = channel_of(self.namespace)
        self.store.send([Command(self.namespace, ("PUBLISH", channel, message)) for message in messages])

    def _transact(self, operations: Sequence[Operation], atomic: bool) -> list[Pending[Any]]:
        transaction = RedisTransaction()
        results = [operation.write(transaction) for operation in operations]
        if not transaction.writes:
            return results
        keys = self.keys_to_write()
        if atomic:
            self._check_scope(transaction)
            transaction.settle(self.store.carry_out_at_once(keys, transaction.writes))
        else:
            transaction.settle(self.store.carry_out(keys, transaction.writes))
        return results

    def _check_scope(self, transaction: RedisTransaction) -> None:
        if self._store.is_cluster and len({write.bucket for write in transaction.writes}) > 1:
            raise AtomicityError(
                "an atomic batch on a Redis Cluster reaches one bucket of its namespace, and this one reaches several; "
                "put what the keys share in braces, such as {bob}:home and {bob}:unseen, or connect with colocate=True "
                "to a namespace whose batches must be atomic"
            )

    def _ping(self) -> None:
        self.store.ask(Command(self.namespace, ("PING",)))
