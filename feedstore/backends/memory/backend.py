"""The memory backend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from feedstore.backends.memory.activity import InMemoryActivityStorage
from feedstore.backends.memory.kv import InMemoryKvStorage
from feedstore.backends.memory.queue import InMemoryQueueStorage
from feedstore.backends.memory.session import MemorySession
from feedstore.backends.memory.timeline import InMemoryTimelineStorage
from feedstore.errors import InvalidTypeError, InvalidValueError
from feedstore.metrics import Metrics
from feedstore.shown import shown
from feedstore.storage.backend import Backend
from feedstore.storage.names import StorageNames
from feedstore.storage.session import DEFAULT_NAMESPACE


class MemoryBackend(Backend):
    """A store in this process's memory with one lock. The data end with the process.

    Two backends share no data, but :meth:`with_namespace` returns one on the same store. Activities and payloads are
    kept serialized, as on every other backend, so reads never return the stored objects themselves. Every batch, atomic
    or not, runs under the lock, so no reader sees a part of it. If an exception ends a write, for example in a signal
    handler, the write is undone. After a fork, the child has its own copy of the data.
    """

    session: MemorySession
    session_class = MemorySession
    activity_storage_class = InMemoryActivityStorage
    timeline_storage_class = InMemoryTimelineStorage
    kv_storage_class = InMemoryKvStorage
    queue_storage_class = InMemoryQueueStorage

    def __init__(self, namespace: str = DEFAULT_NAMESPACE, metrics: Metrics | None = None) -> None:
        super().__init__(self.session_class(namespace, metrics))

    @classmethod
    def from_url(cls, url: str, **options: Any) -> MemoryBackend:
        """Return an empty store for ``memory://``. The options are ``namespace`` and ``metrics``."""
        if url.partition("://")[2]:
            raise InvalidValueError(
                "the URL of a store in memory must be 'memory://'; pass namespace= for another namespace"
            )
        unknown = sorted(set(options) - {"namespace", "metrics"})
        if unknown:
            raise InvalidTypeError(f"unknown option {shown(unknown[0])}; memory:// takes namespace and metrics")
        return cls(**options)

    def _names(self, known: Mapping[str, str]) -> StorageNames:
        """Return the names by reading the names of all namespaces of the store."""
        session = self.session
        with session.lock:
            space = session.space
            return StorageNames.found(
                session.root_namespace,
                known,
                session.store.namespaces(),
                [name for name, items in space.items.items() if items.values],
                [name for name, queue in space.queues.items() if queue.bodies],
            )


# The session of a storage with a private store has no backend that would set this attribute.
MemorySession.backend_class = MemoryBackend
