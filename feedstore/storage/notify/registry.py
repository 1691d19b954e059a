"""Topics, and the registry of the subscribers to each of them in this process."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from enum import StrEnum
from hashlib import blake2b
from typing import Generic, NamedTuple, TypeVar

DIGEST_BYTES = 8
_SubscriberType = TypeVar("_SubscriberType")


class Kind(StrEnum):
    """The kind of object that a topic's key belongs to."""

    TIMELINE = "timeline"
    QUEUE = "queue"


class Topic(NamedTuple):
    """A timeline or a queue that may change, in one namespace."""

    namespace: str
    kind: Kind
    key: str

    @property
    def digest(self) -> bytes:
        """The 8 bytes that identify the topic between processes, however long its key is.

        If two topics share a digest, a change of one causes a spurious notification of the other. Subscribers read the
        timeline again anyway.
        """
        # Neither a namespace nor a kind contains a NUL, so two different topics never give the same text.
        text = f"{self.namespace}\0{self.kind.value}\0{self.key}"
        return blake2b(text.encode(), digest_size=DIGEST_BYTES).digest()


def split_digests(digests: bytes) -> list[bytes]:
    """Return the digests that were joined into one byte string."""
    return [digests[start : start + DIGEST_BYTES] for start in range(0, len(digests), DIGEST_BYTES)]


class TopicRegistry(Generic[_SubscriberType]):
    """The topics that have subscribers in this process. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_digest: dict[bytes, dict[Topic, set[_SubscriberType]]] = {}
        self._namespaces: Counter[str] = Counter()
        self.version = 0
        """A number that grows with each topic that is added."""

    def __bool__(self) -> bool:
        return bool(self._by_digest)

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._by_digest

    def add(self, subscriber: _SubscriberType, topics: Iterable[Topic]) -> None:
        """Add a subscriber to topics. O(1) for each topic."""
        for topic in topics:
            digest = topic.digest
            with self._lock:
                subscribers = self._by_digest.setdefault(digest, {}).setdefault(topic, set())
                self._namespaces[topic.namespace] += not subscribers
                subscribers.add(subscriber)
                self.version += 1

    def discard(self, subscriber: _SubscriberType, topics: Iterable[Topic]) -> None:
        """Remove a subscriber from topics; other subscribers stay. O(1) for each topic."""
        for topic in topics:
            digest = topic.digest
            with self._lock:
                self._discard_one(subscriber, topic, digest)

    def _discard_one(self, subscriber: _SubscriberType, topic: Topic, digest: bytes) -> None:
        same_digest = self._by_digest.get(digest, {})
        subscribers = same_digest.get(topic, set())
        subscribers.discard(subscriber)
        if not subscribers and same_digest.pop(topic, None) is not None:
            self._namespaces[topic.namespace] -= 1
            if not self._namespaces[topic.namespace]:
                del self._namespaces[topic.namespace]
            if not same_digest:
                del self._by_digest[digest]

    def namespaces(self) -> set[str]:
        """Return the namespaces of all topics that have subscribers."""
        with self._lock:
            return set(self._namespaces)

    def topics(self) -> list[tuple[bytes, Topic]]:
        """Return ``(digest, topic)`` of every topic that has subscribers."""
        with self._lock:
            return [(digest, topic) for digest, same in self._by_digest.items() for topic in same]

    def keys_by_subscriber(self, digests: Collection[bytes] | None) -> dict[_SubscriberType, set[str]]:
        """Return ``{subscriber: keys}`` for the topics with these digests, for all topics if ``digests`` is None."""
        found: defaultdict[_SubscriberType, set[str]] = defaultdict(set)
        with self._lock:
            chosen = self._by_digest if digests is None else digests
            for digest in chosen:
                for topic, subscribers in self._by_digest.get(digest, {}).items():
                    for subscriber in subscribers:
                        found[subscriber].add(topic.key)
        return found
