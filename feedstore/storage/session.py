"""A session: one store under one namespace, which storages, batches, notifiers and queues use."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, NamedTuple, NoReturn, Protocol, Self, TypeVar

from feedstore.errors import (
    BackendClosedError,
    InvalidTypeError,
    InvalidValueError,
    SchemaError,
    StorageError,
    StorageTimeoutError,
    StorageUnavailableError,
)
from feedstore.metrics import Metrics
from feedstore.shown import shown
from feedstore.storage.abilities import Abilities
from feedstore.storage.checks import DEFAULT_NAME, check_key, check_namespace, collection_namespace
from feedstore.storage.notify.dispatcher import Dispatcher
from feedstore.storage.notify.polling import PollingSource
from feedstore.storage.notify.registry import Kind, Topic
from feedstore.storage.notify.source import TopicSource

_Result = TypeVar("_Result")
_UNKNOWN: Any = object()


class Pending(Generic[_Result]):
    """The result of a write, which is known once its transaction has committed.

    A hook that knows its result already returns ``Pending(result)``. A transaction that collects writes returns one
    without a result, and calls :meth:`settle` when it has committed.

    >>> Pending(3).result
    3
    """

    __slots__ = ("result",)

    result: _Result
    """The count of the write. The access raises :class:`InvalidValueError` before the transaction has committed."""

    def __init__(self, result: _Result = _UNKNOWN) -> None:
        if result is not _UNKNOWN:
            self.result = result

    def __getattr__(self, name: str) -> Any:
        # Python calls it only while the slot is empty. A property would be one more call of every write.
        if name == "result":
            raise InvalidValueError("this write has no result yet; read it after its batch has ended")
        raise AttributeError(name)

    @property
    def is_settled(self) -> bool:
        """Whether the result is known."""
        try:
            _ = self.result
        except InvalidValueError:
            return False
        return True

    def settle(self, result: _Result) -> None:
        """Set the result, once the transaction has committed."""
        self.result = result


class Transaction:
    """The writes of one public call, or of one batch, which are committed together.

    A hook passes its transaction on to its store and never keeps it. The base class commits each write immediately;
    :data:`AUTOCOMMIT` is the one instance that calls outside a batch use. A backend whose batches must collect writes,
    or hold a connection, derives a class of its own and hands an instance to the hooks of a batch.
    """

    __slots__ = ()


AUTOCOMMIT = Transaction()
"""The transaction of a call outside a batch: each write is committed when its hook returns."""

DEFAULT_NAMESPACE = "default"


class ClosableStore(Protocol):
    """A store that the sessions of all its namespaces share: connections, or data in memory.

    ``label`` names the store in errors, without a password.
    """

    label: str
    closed: bool

    def close(self) -> None:
        """Close the connections that the store opened. A client or engine that the caller passed stays open."""


_StoreType = TypeVar("_StoreType", bound=ClosableStore)


class Session(ABC, Generic[_StoreType]):
    """A store under one namespace. A collection has a session of its own, under a namespace that no user can name.

    Sessions of one store share its connections, are safe to share between threads, and survive a fork.

    Subclasses set :attr:`abilities` and implement :meth:`_transact` and :meth:`_ping`. If the store can push, they
    override :meth:`make_source` and :meth:`publish_topics`.
    """

    abilities: Abilities
    backend_class: type[Any]
    """The class of the backend, which has the table of storage classes; errors and metrics name it. The backend sets
    it on each session that it makes."""

    def __init__(self, store: _StoreType, namespace: str = DEFAULT_NAMESPACE, metrics: Metrics | None = None) -> None:
        self.namespace = check_namespace(namespace)
        self.metrics = Metrics() if metrics is None else metrics
        self._store = store
        self.root_namespace = self.namespace
        # By process: a forked child has none of its parent's threads, and must not wait for a lock that one of them
        # held.
        self._dispatchers: dict[int, Dispatcher] = {}

    @property
    def store(self) -> _StoreType:
        """The store. The access raises :class:`BackendClosedError` if the store is closed."""
        if self._store.closed:
            raise closed_error(self)
        return self._store

    @property
    def closed(self) -> bool:
        """Whether the store was closed."""
        return self._store.closed

    def close(self) -> None:
        """Close the store, for all of its sessions, and the dispatcher of this process. A second call does nothing."""
        if not self.closed:
            self._store.close()
        # Close the store first, so that the threads that this wakes find it closed.
        dispatcher = self._dispatchers.get(os.getpid())
        if dispatcher is not None:
            dispatcher.close()

    def check_open(self) -> None:
        """Raise :class:`BackendClosedError` if the store is closed."""
        if self.closed:
            raise closed_error(self)

    def ping(self) -> None:
        """Send a request to the store, in one round trip. Without an answer it raises :class:`StorageError`."""
        self.check_open()
        self._ping()

    def durability_gap(self) -> str | None:
        """Return the setting with which the store may lose a write that has returned, and the setting to choose.

        None means that no such setting was found; a store that does not allow the question is not checked. Two round
        trips at most.
        """
        self.check_open()
        try:
            return self._durability_gap()
        except (StorageUnavailableError, StorageTimeoutError):
            raise
        except (SchemaError, StorageError):
            # Managed servers do not allow the question, or lack the table of the settings.
            return None

    def with_namespace(self, namespace: str) -> Self:
        """Return a session of the same store under another namespace."""
        self.check_open()
        other = self._with_namespace(check_namespace(namespace))
        other.root_namespace = other.namespace
        return other

    def collection(self, name: str) -> Self:
        """Return the session of a collection of this namespace; the default collection has the namespace's own."""
        if check_key(name, "name") == DEFAULT_NAME:
            return self
        self.check_open()
        return self._with_namespace(collection_namespace(self.root_namespace, name))

    def root(self) -> Self:
        """Return the session of the default collection of this namespace."""
        return self if self.namespace == self.root_namespace else self._with_namespace(self.root_namespace)

    def shares_store_with(self, other: Session[Any]) -> bool:
        """Return whether ``other`` uses the same store, through the same connections."""
        return self._store is other._store

    def shares_batches_with(self, other: Session[Any]) -> bool:
        """Return whether writes of ``other`` may join a batch of this session.

        They may if both have the same store and namespace, in any collections.
        """
        return self.root_namespace == other.root_namespace and self._store is other._store

    def transact(self, operations: Sequence[Operation], atomic: bool) -> list[Pending[Any]]:
        """Commit the writes of a batch in order, and return the result of each. If ``atomic``, commit all or none.

        It costs the work of the writes, in as few round trips as the store allows.
        """
        self.check_open()
        return self._transact(operations, atomic)

    def dispatcher(self) -> Dispatcher:
        """Return the dispatcher of notifications: one for each store and process, with one thread at most."""
        self.check_open()
        dispatcher = self._dispatchers.get(os.getpid())
        if dispatcher is None:
            dispatcher = self._dispatchers.setdefault(os.getpid(), Dispatcher(self.make_source))
        if self.closed:
            # Another thread closed the store since the check, perhaps before it could close this dispatcher.
            dispatcher.close()
        return dispatcher

    def make_source(self) -> TopicSource:
        """Return the source from which the dispatcher receives changes. The default polls once a second."""
        return PollingSource(self.newest_ids_in)

    def publish_topics(self, topics: Sequence[Topic]) -> None:
        """Publish changes of topics to the dispatchers of all processes, with one round trip for about 1,000 topics.

        The default publishes only to the dispatcher of this process, because the other processes poll.
        """
        dispatcher = self._dispatchers.get(os.getpid())
        if dispatcher is not None:
            dispatcher.publish([topic.digest for topic in topics])

    def newest_ids(self, kind: Kind, keys: list[str]) -> Mapping[str, Any]:
        """Return ``{key: value}`` for a source that polls. A value changes with each add.

        Keys of empty timelines or queues may be absent. It costs a bounded number of round trips.
        """
        found: Mapping[str, Any] = self.backend_class.newest_ids(self, kind, keys)
        return found

    def newest_ids_in(self, namespace: str, kind: Kind, keys: list[str]) -> Mapping[str, Any]:
        """Return :meth:`newest_ids` of another namespace of this store."""
        return self.with_namespace(namespace).newest_ids(kind, keys)

    def __repr__(self) -> str:
        return f"{self.backend_class.__name__}({self._store.label!r}, namespace={self.namespace!r})"

    def __copy__(self) -> Self:
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        return other

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise InvalidTypeError(
            f"a {self.backend_class.__name__} holds connections, threads or data of its process, and cannot be pickled "
            "or deep-copied: pass its URL instead, and call feedstore.connect(url) in the other process"
        )

    def _with_namespace(self, namespace: str) -> Self:
        """Return a session of the same store and dispatcher under a checked namespace."""
        other = self.__copy__()
        other.namespace = namespace
        return other

    @abstractmethod
    def _transact(self, operations: Sequence[Operation], atomic: bool) -> list[Pending[Any]]:
        """Call ``operation.write(transaction)`` of each operation in order, commit, and return the results.

        A store that repeats a transaction, for example after a deadlock, calls the operations again.

        Raises:
            AtomicityError: The store cannot commit these writes atomically. Nothing was written.
        """

    def _durability_gap(self) -> str | None:
        """Return :meth:`durability_gap`; the default knows of none."""
        return None

    @abstractmethod
    def _ping(self) -> None:
        """Send a request to the store, and wait for the answer."""


class Operation(NamedTuple):
    """One write of a batch."""

    session: Session[Any]
    """The session of the storage that writes."""
    write: Callable[[Transaction], Pending[Any]]
    """Calls the storage's hook, with checked and serialized arguments and the batch's transaction."""
    report: Callable[[], None] | None = None
    """Called after the batch was committed."""
    keys: Sequence[str] = ()
    """The timelines that the write changes."""


def checked_session(backend: Any) -> Session[Any]:
    """Return the session of the option ``backend``, a backend or a session.

    Raises:
        InvalidTypeError: The value is neither.
    """
    if isinstance(backend, Session):
        return backend
    session = getattr(backend, "session", None)
    # Storages, batches and notifiers have a session too.
    if not isinstance(session, Session) or not isinstance(backend, session.backend_class):
        raise InvalidTypeError(f"backend must be the result of feedstore.connect(url), not {shown(backend)}")
    return session


def closed_error(session: Session[Any]) -> BackendClosedError:
    """Return the error for a use after the store was closed."""
    return BackendClosedError(f"this {session.backend_class.__name__} is closed; connect again to go on")
