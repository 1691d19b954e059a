"""A backend: one store under one namespace, and the storages over it."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Self, TypeVar, overload

from feedstore.errors import BackendClosedError, InvalidTypeError
from feedstore.metrics import Metrics
from feedstore.shown import shown
from feedstore.storage.abilities import Abilities
from feedstore.storage.batch import Batch, Operation
from feedstore.storage.bounds import EVERYTHING
from feedstore.storage.call_log import logged_class
from feedstore.storage.key import DEFAULT_NAME, check_key, check_namespace, collection_namespace
from feedstore.storage.notify import Notifier
from feedstore.storage.notify.dispatcher import Dispatcher
from feedstore.storage.notify.polling import PollingSource
from feedstore.storage.notify.registry import Kind, Topic
from feedstore.storage.notify.source import TopicSource
from feedstore.storage.transaction import Pending

if TYPE_CHECKING:
    from feedstore.activity import Activity
    from feedstore.serializers import Serializer
    from feedstore.storage.activity import ActivityStorage
    from feedstore.storage.kv import KvStorage
    from feedstore.storage.queue import QueueStorage
    from feedstore.storage.timeline import TimelineStorage

DEFAULT_NAMESPACE = "default"
QUEUE_OPTIONS = ("visibility_timeout", "max_length", "when_full")

_Item = TypeVar("_Item")
_Activity = TypeVar("_Activity", bound="Activity")


class Backend(ABC):
    """A store under one namespace: ``[A-Za-z0-9_-]``, 1 to 48 characters.

    Make one with :func:`feedstore.connect`, and use it as a context manager or call :meth:`close`. Namespaces are
    data, not tables: thousands are cheap, and two never see each other (T10). A backend is safe to share between
    threads, connects at its first use, and survives a fork: the child opens connections of its own.

    Subclasses set :attr:`abilities` and the three storage classes, and write the hooks at the end. Queues and the
    notifier work over those; a store that does them better sets :attr:`queue_storage_class`, and overrides
    :meth:`make_source` and :meth:`publish_topics`.
    """

    abilities: Abilities
    activity_storage_class: type[ActivityStorage[Any]]
    timeline_storage_class: type[TimelineStorage[Any]]
    kv_storage_class: type[KvStorage]
    queue_storage_class: type[QueueStorage] | None = None
    options_to_read: ClassVar[Mapping[str, Any]] = {}
    """The options of :meth:`from_url` with which a backend refuses a store that is not there, and neither creates nor
    migrates anything: what the commands that only read pass. Empty where reading creates nothing anyway."""

    def __init__(self, namespace: str = DEFAULT_NAMESPACE, metrics: Metrics | None = None) -> None:
        self.namespace = check_namespace(namespace)
        self.metrics = Metrics() if metrics is None else metrics
        self._root_namespace = self.namespace
        # By process: a forked child has no thread of its parent's, however it was forked, and must not wait for a lock
        # that one of them held.
        self._dispatchers: dict[int, Dispatcher] = {}

    @classmethod
    @abstractmethod
    def from_url(cls, url: str, **options: Any) -> Self:
        """Return a backend for a URL of one of its schemes; what :func:`feedstore.connect` calls.

        Raises :class:`InvalidTypeError` for an unknown option and :class:`InvalidValueError` for a URL it cannot read;
        neither message holds a password.
        """

    @overload
    def activity_storage(
        self,
        serializer_class: None = None,
        activity_class: None = None,
        *,
        name: str = DEFAULT_NAME,
        **options: Any,
    ) -> ActivityStorage: ...

    @overload
    def activity_storage(
        self,
        serializer_class: type[Serializer[_Item]],
        activity_class: None = None,
        *,
        name: str = DEFAULT_NAME,
        **options: Any,
    ) -> ActivityStorage[_Item]: ...

    @overload
    def activity_storage(
        self,
        serializer_class: type[Serializer] | None = None,
        *,
        activity_class: type[_Activity],
        name: str = DEFAULT_NAME,
        **options: Any,
    ) -> ActivityStorage[_Activity]: ...

    @overload
    def activity_storage(
        self,
        serializer_class: type[Serializer] | None = None,
        activity_class: type[Activity] | None = None,
        *,
        name: str = DEFAULT_NAME,
        **options: Any,
    ) -> ActivityStorage[Any]: ...

    def activity_storage(
        self,
        serializer_class: type[Serializer] | None = None,
        activity_class: type[Activity] | None = None,
        *,
        name: str = DEFAULT_NAME,
        **options: Any,
    ) -> ActivityStorage[Any]:
        """Return the storage of activities by id of that name; each name is a collection of its own. Costs nothing.

        Two storages of one name see the same activities (T10). A batch of this backend takes the writes of them all.
        """
        backend = self._collection(name)
        return logged_class(self.activity_storage_class)(serializer_class, activity_class, backend=backend, **options)

    @overload
    def timeline_storage(
        self,
        serializer_class: None = None,
        activity_class: type[Activity] | None = None,
        *,
        name: str = DEFAULT_NAME,
        **options: Any,
    ) -> TimelineStorage: ...

    @overload
    def timeline_storage(
        self,
        serializer_class: type[Serializer[_Item]],
        activity_class: None = None,
        *,
        name: str = DEFAULT_NAME,
        **options: Any,
    ) -> TimelineStorage[_Item]: ...

    @overload
    def timeline_storage(
        self,
        serializer_class: type[Serializer] | None = None,
        activity_class: type[Activity] | None = None,
        *,
        name: str = DEFAULT_NAME,
        **options: Any,
    ) -> TimelineStorage[Any]: ...

    def timeline_storage(
        self,
        serializer_class: type[Serializer] | None = None,
        activity_class: type[Activity] | None = None,
        *,
        name: str = DEFAULT_NAME,
        **options: Any,
    ) -> TimelineStorage[Any]:
        """Return the storage of timelines by key of that name; each name is a collection of its own. Costs nothing.

        Two storages of one name see the same timelines (T10). A batch of this backend takes the writes of them all.
        """
        backend = self._collection(name)
        return logged_class(self.timeline_storage_class)(serializer_class, activity_class, backend=backend, **options)

    def _collection(self, name: str) -> Self:
        """Return the backend that the storages of a collection are on: this store, under a namespace of its own."""
        if check_key(name, "name") == DEFAULT_NAME:
            return self
        self.check_open()
        other = self._with_namespace(collection_namespace(self._root_namespace, name))
        other._root_namespace, other._dispatchers = self._root_namespace, self._dispatchers
        return other

    def kv_storage(self, name: str = DEFAULT_NAME) -> KvStorage:
        """Return the key-value storage of that name; each name is a key space of its own. Costs nothing.

        A name follows the rules of keys: text of 1 to 1,024 bytes in UTF-8.
        """
        return logged_class(self.kv_storage_class)(backend=self, name=check_key(name, "name"))

    def queue(self, name: str = DEFAULT_NAME, **options: Any) -> QueueStorage:
        """Return the queue of that name; each name is a queue of its own. Costs nothing.

        A name follows the rules of keys. The options, :class:`~feedstore.storage.QueueStorage` says what they mean:
        ``visibility_timeout``, ``max_length``, ``when_full``.
        """
        kind = logged_class(self.queue_storage_class or _default_queue_class())
        unknown = [option for option in options if option not in QUEUE_OPTIONS]
        if unknown:
            raise InvalidTypeError(
                f"a queue has no option {shown(unknown[0])}; the options are {', '.join(QUEUE_OPTIONS)}"
            )
        return kind(backend=self, name=name, **options)

    def notifier(self, name: str = DEFAULT_NAME) -> Notifier:
        """Return the :class:`~feedstore.storage.Notifier` of the timelines of a collection. Costs nothing."""
        self.check_open()
        return Notifier(self._collection(name))

    def batch(self, atomic: bool = False) -> Batch:
        """Return a :class:`Batch`: a context manager whose writes are sent together when it ends."""
        return Batch(self, atomic=bool(atomic))

    def with_namespace(self, namespace: str) -> Self:
        """Return a backend on the same store and connections under another namespace.

        Closing any of them closes the store for all.
        """
        self.check_open()
        other = self._with_namespace(check_namespace(namespace))
        other._root_namespace, other._dispatchers = other.namespace, self._dispatchers
        return other

    def ping(self) -> None:
        """Ask the store for an answer: one round trip. Raises :class:`StorageError` if it gives none."""
        self.check_open()
        self._ping()

    @property
    @abstractmethod
    def closed(self) -> bool:
        """Whether :meth:`close` was called."""

    def close(self) -> None:
        """Close what the backend opened, and nothing that it was given. Closing twice is no error; any later use is a
        :class:`BackendClosedError`. Waits for a running callback of a subscription to finish, but not for a blocked
        ``receive()``.
        """
        if not self.closed:
            self._close()
        # After the store, so that a thread that this wakes finds the backend closed.
        dispatcher = self._dispatchers.get(os.getpid())
        if dispatcher is not None:
            dispatcher.close()

    def check_open(self) -> None:
        """Raise :class:`BackendClosedError` once the backend was closed."""
        if self.closed:
            raise closed_error(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(namespace={self.namespace!r})"

    def __copy__(self) -> Self:
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        return other

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise InvalidTypeError(
            f"a {type(self).__name__} holds connections, threads or data of its process, and cannot be pickled or "
            "deep-copied: pass its URL on, and call feedstore.connect(url) there"
        )

    def __enter__(self) -> Self:
        self.check_open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def shares_batches_with(self, other: Backend) -> bool:
        """Return whether writes of ``other`` may join a batch of this backend: the same store and namespace, in any
        collection.
        """
        same_namespace = self._root_namespace == other._root_namespace
        return same_namespace and self._store_identity() is other._store_identity()

    def transact(self, operations: Sequence[Operation], atomic: bool) -> list[Pending[Any]]:
        """Commit the writes of a batch in order and return the result of each; all or nothing if ``atomic``.

        Costs what the writes cost, in as few round trips as the store allows.
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
            # Another thread closed the backend meanwhile, perhaps before this dispatcher was there to be closed.
            dispatcher.close()
        return dispatcher

    def make_source(self) -> TopicSource:
        """Return the source from which the dispatcher receives changes; by default it polls once a second."""
        return PollingSource(self.newest_ids_in)

    def publish_topics(self, topics: Sequence[Topic]) -> None:
        """Publish that topics have changed to the dispatchers of all processes. At most one round trip for each 1,000
        topics or so.

        The default publishes to the dispatcher of this process, because the other processes poll.
        """
        dispatcher = self._dispatchers.get(os.getpid())
        if dispatcher is not None:
            dispatcher.publish([topic.digest for topic in topics])

    def newest_ids(self, kind: Kind, keys: list[str]) -> Mapping[str, Any]:
        """Return ``{key: value}``, where the value changes with each add, for a source that polls.

        Keys of empty timelines or queues may be left out. A bounded number of round trips.
        """
        if kind is Kind.QUEUE:
            # A queue over timelines imports this module.
            from feedstore.storage.timeline_queue import newest_messages

            return newest_messages(self, keys)
        slices = self.timeline_storage()._get_many_slices(keys, 0, 1, EVERYTHING, True)
        return {key: entries[0][0] for key, entries in slices.items() if entries}

    def newest_ids_in(self, namespace: str, kind: Kind, keys: list[str]) -> Mapping[str, Any]:
        """:meth:`newest_ids`, in another namespace of this store."""
        return self.with_namespace(namespace).newest_ids(kind, keys)

    @abstractmethod
    def _store_identity(self) -> object:
        """Return the object that all backends on this store have in common."""

    @abstractmethod
    def _transact(self, operations: Sequence[Operation], atomic: bool) -> list[Pending[Any]]:
        """Call ``operation.write(transaction)`` of each operation in order, commit, and return what the calls returned.

        Raises :class:`AtomicityError` before the first write where ``atomic`` cannot be kept. A store that runs a
        transaction again, after a deadlock for instance, calls the operations again.
        """

    @abstractmethod
    def _with_namespace(self, namespace: str) -> Self:
        """Return a backend on the same store under a checked namespace."""

    @abstractmethod
    def _ping(self) -> None:
        """Ask the store for an answer."""

    @abstractmethod
    def _close(self) -> None:
        """Close what the backend opened."""


def checked_backend(backend: Any) -> Backend:
    """Return ``backend``, or raise :class:`InvalidTypeError` unless it is one."""
    if not isinstance(backend, Backend):
        raise InvalidTypeError(f"backend is what feedstore.connect(url) returns, not {shown(backend)}")
    return backend


def closed_error(backend: object) -> BackendClosedError:
    """Return the error for a use after :meth:`Backend.close`."""
    return BackendClosedError(f"this {type(backend).__name__} is closed; connect again to go on")


def _default_queue_class() -> type[QueueStorage]:
    # A queue over timelines knows what a backend is, so this module can reach it only when it is called.
    from feedstore.storage.timeline_queue import TimelineQueueStorage

    return TimelineQueueStorage
