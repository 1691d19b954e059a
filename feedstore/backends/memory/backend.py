"""The memory backend."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self, TypeVar

from feedstore.backends.memory.activity import InMemoryActivityStorage
from feedstore.backends.memory.journal import Journal
from feedstore.backends.memory.kv import InMemoryKvStorage
from feedstore.backends.memory.queue import InMemoryQueueStorage
from feedstore.backends.memory.store import Space, Store
from feedstore.backends.memory.timeline import InMemoryTimelineStorage
from feedstore.backends.store_backend import StoreBackend
from feedstore.errors import InvalidTypeError, InvalidValueError
from feedstore.metrics import Metrics
from feedstore.shown import shown
from feedstore.storage import Abilities
from feedstore.storage.backend import DEFAULT_NAMESPACE, closed_error
from feedstore.storage.batch import Operation
from feedstore.storage.notify.source import LocalSource, TopicSource
from feedstore.storage.transaction import AUTOCOMMIT, Pending

_Result = TypeVar("_Result")


class MemoryBackend(StoreBackend[Store]):
    """A store in this process's memory, behind one lock; nothing outlives it.

    Two of them share nothing; :meth:`with_namespace` shares the store. Activities and payloads are kept serialized, as
    on every other backend, so nothing that was put in is handed out. A batch, atomic or not, is carried out under the
    lock: no reader sees a part of it. A write that an exception ends, such as one of a signal handler, is undone. After
    a fork the child goes on with its own copy.
    """

    abilities = Abilities(shared_between_processes=False)
    activity_storage_class = InMemoryActivityStorage
    timeline_storage_class = InMemoryTimelineStorage
    kv_storage_class = InMemoryKvStorage
    queue_storage_class = InMemoryQueueStorage

    def __init__(self, namespace: str = DEFAULT_NAMESPACE, metrics: Metrics | None = None) -> None:
        super().__init__(Store(), namespace, metrics)
        self._space = self._store.space(self.namespace)
        self.lock = self._store.lock

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

    @property
    def space(self) -> Space:
        """The data of this namespace, used under the lock. Raises :class:`BackendClosedError` once closed."""
        store = self._store
        if store.closed:
            raise closed_error(self)
        store.recover()
        return self._space

    def write(self, work: Callable[..., _Result], *arguments: Any) -> Pending[_Result]:
        """Call ``work(journal, *arguments)`` under the lock: all of its changes or none. See :meth:`Store.write`."""
        return Pending(self._store.write(work, *arguments))

    def make_source(self) -> TopicSource:
        """Changes come from this process alone, so nothing is polled."""
        return LocalSource()

    def _transact(self, operations: Sequence[Operation], atomic: bool) -> list[Pending[Any]]:
        return self.write(_write_all, operations).result

    def _with_namespace(self, namespace: str) -> Self:
        other = super()._with_namespace(namespace)
        other._space = self._store.space(namespace)
        return other

    def _ping(self) -> None:
        with self.lock:
            return


def _write_all(journal: Journal, operations: Sequence[Operation]) -> list[Pending[Any]]:
    # Each hook's own write is part of this one, which the journal undoes as a whole.
    return [operation.write(AUTOCOMMIT) for operation in operations]
