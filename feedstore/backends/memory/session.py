"""The session of a namespace in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self, TypeVar

from feedstore.backends.memory.journal import Journal
from feedstore.backends.memory.store import Space, Store
from feedstore.metrics import Metrics
from feedstore.storage.abilities import Abilities
from feedstore.storage.notify.source import LocalSource, TopicSource
from feedstore.storage.session import AUTOCOMMIT, DEFAULT_NAMESPACE, Operation, Pending, Session, closed_error

_Result = TypeVar("_Result")


class MemorySession(Session[Store]):
    """A session on the space of one namespace in memory. Without ``store`` it makes a store of its own."""

    abilities = Abilities(shared_between_processes=False)

    def __init__(
        self, namespace: str = DEFAULT_NAMESPACE, metrics: Metrics | None = None, store: Store | None = None
    ) -> None:
        super().__init__(Store() if store is None else store, namespace, metrics)
        self._space = self._store.space(self.namespace)
        self.lock = self._store.lock

    @property
    def space(self) -> Space:
        """The data of this namespace, for use under the lock. It raises :class:`BackendClosedError` if closed."""
        store = self._store
        if store.closed:
            raise closed_error(self)
        if store.journal.steps:
            store.recover()
        return self._space

    def write(self, work: Callable[..., _Result], *arguments: Any) -> Pending[_Result]:
        """Call ``work(journal, *arguments)`` under the lock, as :meth:`Store.write` does."""
        return Pending(self._store.write(work, *arguments))

    def make_source(self) -> TopicSource:
        """Return a source that polls nothing, because all changes come from this process."""
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
