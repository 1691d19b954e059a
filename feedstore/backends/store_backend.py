"""What the backends on one shared store have in common."""

from __future__ import annotations

import copy
from typing import Any, Generic, Protocol, Self, TypeVar

from feedstore.metrics import Metrics
from feedstore.storage.backend import Backend, closed_error


class ClosableStore(Protocol):
    """What a backend is over: connections that several namespaces share. ``label`` names the place, no password."""

    label: str
    closed: bool

    def close(self) -> None:
        """Close what was opened here."""


_StoreType = TypeVar("_StoreType", bound=ClosableStore)


class StoreBackend(Backend, Generic[_StoreType]):
    """A backend over a store that its namespaces share. Nothing is connected before its first use."""

    def __init__(self, store: _StoreType, namespace: str, metrics: Metrics | None) -> None:
        super().__init__(namespace, metrics)
        self._store = store

    @classmethod
    def from_url(cls, url: str, **options: Any) -> Self:
        """Return a backend for a URL; see the class for the options. Nothing is connected yet."""
        # A subclass's constructor takes a URL, unlike the one above.
        construct: Any = cls
        backend: Self = construct(url, **options)
        return backend

    @property
    def store(self) -> _StoreType:
        """The store. Raises :class:`BackendClosedError` once closed."""
        if self._store.closed:
            raise closed_error(self)
        return self._store

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._store.closed

    def _store_identity(self) -> object:
        return self._store

    def _with_namespace(self, namespace: str) -> Self:
        other = copy.copy(self)
        other.namespace = namespace
        return other

    def _close(self) -> None:
        self._store.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._store.label!r}, namespace={self.namespace!r})"
