"""Which topics are watched in this process, and by whom."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from typing import Generic, TypeVar

from feedstore.storage.topic import Topic

_WatcherType = TypeVar("_WatcherType")


class Watched(Generic[_WatcherType]):
    """The topics with those who watch each. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_digest: dict[bytes, dict[Topic, set[_WatcherType]]] = {}
        self._namespaces: Counter[str] = Counter()
        self.version = 0
        """Grows whenever a topic is added."""

    def __bool__(self) -> bool:
        return bool(self._by_digest)

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._by_digest

    def add(self, who: _WatcherType, topics: Iterable[Topic]) -> None:
        """Note that somebody watches topics. O(1) for each."""
        for topic in topics:
            digest = topic.digest
            with self._lock:
                watchers = self._by_digest.setdefault(digest, {}).setdefault(topic, set())
                self._namespaces[topic.namespace] += not watchers
                watchers.add(who)
                self.version += 1

    def discard(self, who: _WatcherType, topics: Iterable[Topic]) -> None:
        """Note that somebody watches topics no longer; others may go on. O(1) for each."""
        for topic in topics:
            digest = topic.digest
            with self._lock:
                self._discard_one(who, topic, digest)

    def _discard_one(self, who: _WatcherType, topic: Topic, digest: bytes) -> None:
        same_digest = self._by_digest.get(digest, {})
        watchers = same_digest.get(topic, set())
        watchers.discard(who)
        if not watchers and same_digest.pop(topic, None) is not None:
            self._namespaces[topic.namespace] -= 1
            if not self._namespaces[topic.namespace]:
                del self._namespaces[topic.namespace]
            if not same_digest:
                del self._by_digest[digest]

    def namespaces(self) -> set[str]:
        """Return the namespaces of all topics that are watched."""
        with self._lock:
            return set(self._namespaces)

    def topics(self) -> list[tuple[bytes, Topic]]:
        """Return every topic that is watched, with its digest."""
        with self._lock:
            return [(digest, topic) for digest, same in self._by_digest.items() for topic in same]

    def who_watches(self, digests: Collection[bytes] | None) -> dict[_WatcherType, set[str]]:
        """Return ``{who: keys}`` of the topics with the digests, of all topics for None."""
        found: defaultdict[_WatcherType, set[str]] = defaultdict(set)
        with self._lock:
            chosen = self._by_digest if digests is None else digests
            for digest in chosen:
                for topic, watchers in self._by_digest.get(digest, {}).items():
                    for who in watchers:
                        found[who].add(topic.key)
        return found
