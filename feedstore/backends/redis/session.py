"""The session of a store in Redis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from feedstore.backends.redis.batch import RedisTransaction, Write
from feedstore.backends.redis.checks import durability_gap_of
from feedstore.backends.redis.command import Command
from feedstore.backends.redis.keys import Keys, channel_of, collection_part
from feedstore.backends.redis.source import RedisSource
from feedstore.backends.redis.store import Store
from feedstore.errors import AtomicityError
from feedstore.metrics import Metrics
from feedstore.storage.abilities import Abilities, AtomicScope
from feedstore.storage.notify.registry import Topic
from feedstore.storage.notify.source import TopicSource
from feedstore.storage.session import Operation, Pending, Session, Transaction

_MOST_DIGESTS = 1000
_Result = TypeVar("_Result")


class RedisSession(Session[Store]):
    """A namespace in a Redis server or a Redis Cluster."""

    def __init__(self, store: Store, namespace: str, metrics: Metrics | None) -> None:
        super().__init__(store, namespace, metrics)
        reaches_everything = not store.is_cluster or store.settings.buckets == 1
        scope = AtomicScope.BACKEND if reaches_everything else AtomicScope.SLOT
        self.abilities = Abilities(atomic_scope=scope)

    def keys(self) -> Keys:
        """Return the names of the collection's Redis keys, to read them."""
        names = self.store.keys(self.root_namespace)
        return names if self.namespace == self.root_namespace else names.of_collection(self._part)

    def keys_to_write(self) -> Keys:
        """Return the names of the collection's Redis keys; the namespace is marked now if it is new."""
        return self.store.keys_to_write(self.root_namespace).of_collection(self._part)

    @property
    def _part(self) -> str:
        return collection_part(self.root_namespace, self.namespace)

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
                "put the part that the keys share in braces, such as {bob}:home and {bob}:unseen, or connect with "
                "colocate=True to a namespace whose batches must be atomic"
            )

    def _durability_gap(self) -> str | None:
        return durability_gap_of(self.store.ask(Command(self.namespace, ("CONFIG", "GET", "append*"))))

    def _ping(self) -> None:
        self.store.ask(Command(self.namespace, ("PING",)))
