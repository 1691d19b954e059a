"""The memory backend."""

from __future__ import annotations

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
from feedstore.storage.session import DEFAULT_NAMESPACE


class MemoryBackend(Backend):
    """A store in this process's memory, behind one lock; nothing outlives it.

    Two of them share nothing; :meth:`with_namespace` shares the store. Activities and payloads are kept serialized, as
    on every other backend, so nothing that was put in is handed out. A batch, atomic or not, is carried out under the
    lock: no reader sees a part of it. A write that an exception ends, such as one of a signal handler, is undone. After
    a fork the child goes on with its own copy.
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
        """Return an empty store for ``memory://``; the options are ``namespace`` and ``metrics``."""
        if url.partition("://")[2]:
            raise InvalidValueError(
                "the URL of a store in memory is 'memory://' alone; pass namespace= for another namespace"
            )
        unknown = sorted(set(options) - {"namespace", "metrics"})
        if unknown:
            raise InvalidTypeError(f"unknown option {shown(unknown[0])}; memory:// takes namespace and metrics")
        return cls(**options)


# A storage that makes a private store has a session without a backend.
MemorySession.backend_class = MemoryBackend
