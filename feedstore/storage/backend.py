"""A backend: the factory of the storages of one namespace."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar, overload

from feedstore.activity import Activity
from feedstore.errors import InvalidTypeError, UnsupportedError
from feedstore.forks import unlocked_property
from feedstore.metrics import Metrics
from feedstore.serializers import Serializer
from feedstore.shown import shown
from feedstore.storage.abilities import Abilities
from feedstore.storage.activity import ActivityStorage
from feedstore.storage.batch import WriteBatch
from feedstore.storage.bounds import EVERYTHING
from feedstore.storage.call_log import logged_class
from feedstore.storage.checks import DEFAULT_NAME, check_key, checked_iterable, collection_namespace
from feedstore.storage.kv import KvStorage
from feedstore.storage.names import StorageNames
from feedstore.storage.notify.registry import Kind
from feedstore.storage.notify.subscription import Notifier
from feedstore.storage.queue import QueueStorage
from feedstore.storage.session import Session
from feedstore.storage.timeline import TimelineStorage
from feedstore.storage.timeline_queue import TimelineQueueStorage, newest_messages

if TYPE_CHECKING:
    from feedstore.storage.documents import DocumentStorage

QUEUE_OPTIONS = ("visibility_timeout", "max_length", "when_full")


_Item = TypeVar("_Item")
_Activity = TypeVar("_Activity", bound=Activity)


class Batch(WriteBatch):
    """A context manager that collects writes, and commits them in their order when it ends without an exception.

    The writes of its own storages (:attr:`activities`, :attr:`timelines`, :meth:`kv`) join it. So do calls of other
    storages with ``batch_interface=batch``. A write that joins is checked and serialized at the call, and returns None.
    After the batch has ended, ``results`` holds the counts of the writes, in order. Reads never see the collected
    writes. If the block raises an exception, or is empty, nothing is sent. A batch serves one ``with`` block of one
    thread; entering it again is an error.

    With ``atomic=True`` all writes are stored or none, inside the backend's atomic scope
    (``backend.abilities.atomic_scope``). Beyond it the batch raises :class:`AtomicityError` and sends nothing.

    >>> from feedstore import Activity, connect
    >>> like = Activity("ann", "like", "photo:7")
    >>> with connect("memory://").batch(atomic=True) as batch:
    ...     batch.activities.add(like)
    ...     batch.timelines.add_to_many(["feed:bob", "feed:eve"], [like], max_length=800)
    >>> batch.results
    [1, 2]
    """

    @property
    def activities(self) -> ActivityStorage:
        """The activity storage of the backend. All its writes join this batch."""
        storage: ActivityStorage = self._bound_storage("activity_storage_class")
        return storage

    @property
    def timelines(self) -> TimelineStorage:
        """The timeline storage of the backend. All its writes join this batch."""
        storage: TimelineStorage = self._bound_storage("timeline_storage_class")
        return storage

    def kv(self, name: str = DEFAULT_NAME) -> KvStorage:
        """Return the key-value storage of that name. All its writes join this batch."""
        storage: KvStorage = self._bound_storage("kv_storage_class", name=check_key(name, "name"))
        return storage

    @property
    def documents(self) -> DocumentStorage:
        """The document storage of the backend. All its writes that take ``batch_interface`` join this batch."""
        return backend_of(self.session).document_storage().bound_to(self)

    def require(self, kv: KvStorage, key: str, value: Any) -> None:
        """Add the precondition to this atomic batch that a key of ``kv`` has ``value`` (K7).

        If it does not hold at the end of the block, the batch raises :class:`ConditionFailedError` and writes nothing.
        """
        kv.require(key, value, batch_interface=self)

    def require_absent(self, kv: KvStorage, key: str) -> None:
        """Add the precondition to this atomic batch that a key of ``kv`` has no value."""
        kv.require_absent(key, batch_interface=self)

    def _bound_storage(self, attribute: str, **options: Any) -> Any:
        """Return a storage of the class in an attribute of the backend's class. Its writes join this batch."""
        storage_class = logged_class(getattr(self.session.backend_class, attribute))
        return storage_class(backend=self.session, **options).bound_to(self)


class Backend:
    """A store under one namespace, which has 1 to 48 characters of ``A-Z a-z 0-9 _ -``.

    Make a backend with :func:`feedstore.connect`, and use it as a context manager or call :meth:`close`. Namespaces are
    data, not tables, so thousands of them are cheap. Two namespaces share no data (T10). A backend is safe to share
    between threads, connects at its first use, and survives a fork: the child opens its own connections.

    Subclasses set the storage classes, and pass the constructor a :class:`~feedstore.storage.session.Session`, which
    holds the store. By default queues work over timelines. A store with better queues sets :attr:`queue_storage_class`.
    """

    activity_storage_class: type[ActivityStorage[Any]]
    timeline_storage_class: type[TimelineStorage[Any]]
    kv_storage_class: type[KvStorage]
    queue_storage_class: type[QueueStorage] = TimelineQueueStorage
    document_storage_class: type[DocumentStorage] | None = None
    """The storage of documents, for a backend with the ability ``documents``."""
    batch_class: type[Batch] = Batch
    options_to_read: ClassVar[Mapping[str, Any]] = {}
    """The options of :meth:`from_url` for commands that only read. With them, a backend refuses a missing store, and
    creates and migrates nothing. Empty for a backend whose reads create nothing."""
    options_to_flush: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """The options of :meth:`from_url`, for each scheme, with which a call that has returned survives a power cut. Empty
    if the server decides, or does so by default."""

    def __init__(self, session: Session[Any]) -> None:
        self.session = session
        session.backend_class = type(self)

    @classmethod
    def from_url(cls, url: str, **options: Any) -> Self:
        """Return a backend for a URL of one of its schemes. :func:`feedstore.connect` calls this method.

        The default passes both arguments to the constructor. No message of an error holds a password.

        Raises:
            InvalidTypeError: An option is unknown.
            InvalidValueError: The URL cannot be read.
        """
        construct: Any = cls
        backend: Self = construct(url, **options)
        return backend

    @property
    def namespace(self) -> str:
        """The namespace."""
        return self.session.namespace

    @property
    def metrics(self) -> Metrics:
        """The metrics that storages of this backend report to."""
        return self.session.metrics

    @property
    def abilities(self) -> Abilities:
        """The abilities of the store."""
        return self.session.abilities

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
        """Return the activity storage of that name, without a round trip. Each name is a separate collection.

        Two storages of one name have the same activities (T10). Writes of all collections can join one batch.
        """
        session = self.session.collection(name)
        return logged_class(self.activity_storage_class)(serializer_class, activity_class, backend=session, **options)

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
        """Return the timeline storage of that name, without a round trip. Each name is a separate collection.

        Two storages of one name have the same timelines (T10). Writes of all collections can join one batch.
        """
        session = self.session.collection(name)
        return logged_class(self.timeline_storage_class)(serializer_class, activity_class, backend=session, **options)

    @unlocked_property
    def feed_storages(self) -> dict[tuple[object, ...], Any]:
        """The storages that feed classes have made, by the arguments with which they made them."""
        return {}

    def kv_storage(self, name: str = DEFAULT_NAME) -> KvStorage:
        """Return the key-value storage of that name, without a round trip. Each name is a separate key space.

        A name follows the rules of keys: it is a str of 1 to 1,024 bytes in UTF-8.
        """
        return logged_class(self.kv_storage_class)(backend=self.session, name=check_key(name, "name"))

    def document_storage(self) -> DocumentStorage:
        """Return the storage of documents without a round trip, or raise :class:`UnsupportedError` if there is none."""
        kind = self.document_storage_class
        if kind is None or not self.abilities.documents:
            raise UnsupportedError(f"{type(self).__name__} has no document storage; connect to SQLite or PostgreSQL")
        return logged_class(kind)(backend=self.session)

    def queue(self, name: str = DEFAULT_NAME, **options: Any) -> QueueStorage:
        """Return the queue of that name, without a round trip. A name follows the rules of keys.

        The options are ``visibility_timeout``, ``max_length`` and ``when_full``.
        :class:`~feedstore.storage.QueueStorage` describes them.
        """
        unknown = [option for option in options if option not in QUEUE_OPTIONS]
        if unknown:
            raise InvalidTypeError(
                f"a queue has no option {shown(unknown[0])}; the options are {', '.join(QUEUE_OPTIONS)}"
            )
        return logged_class(self.queue_storage_class)(backend=self.session, name=name, **options)

    def names(self, known: Iterable[str] = ()) -> StorageNames:
        """Return the names of the storages of this namespace, by a walk whose cost the backend's documentation states.

        A name that is written for the first time during the walk may be left out.

        Args:
            known: Names that collections may have. If the store holds such a collection under a hash, its name is among
                the result.
        """
        self.check_open()
        names = (check_key(name, "name") for name in checked_iterable(known))
        return self._names({collection_namespace(self.namespace, name): name for name in names})

    def _names(self, known: Mapping[str, str]) -> StorageNames:
        """Return :meth:`names`, given the known names by the namespaces that hold these collections.

        The default returns the default names and the known ones.
        """
        return StorageNames(tuple(sorted({DEFAULT_NAME, *known.values()})))

    def notifier(self, name: str = DEFAULT_NAME) -> Notifier:
        """Return the :class:`~feedstore.storage.Notifier` of the timelines of a collection, without a round trip."""
        self.check_open()
        return Notifier(self.session.collection(name))

    def batch(self, atomic: bool = False) -> Batch:
        """Return a :class:`Batch`: a context manager that sends its writes together when it ends."""
        return self.batch_class(self.session, atomic=bool(atomic))

    def with_namespace(self, namespace: str) -> Self:
        """Return a backend on the same store and connections under another namespace.

        Closing one of these backends closes the store for all.
        """
        other = copy.copy(self)
        other.session = self.session.with_namespace(namespace)
        other.feed_storages = {}
        return other

    def ping(self) -> None:
        """Send a request to the store, in one round trip. Without an answer it raises :class:`StorageError`."""
        self.session.ping()

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self.session.closed

    def close(self) -> None:
        """Close the connections that the backend opened. A client or engine that the caller passed stays open.

        A second call does nothing. Any later use raises :class:`BackendClosedError`. The method waits for a running
        callback of a subscription, but not for a blocked ``receive()``.
        """
        self.session.close()

    def check_open(self) -> None:
        """Raise :class:`BackendClosedError` if the backend is closed."""
        self.session.check_open()

    def __repr__(self) -> str:
        return repr(self.session)

    def __enter__(self) -> Self:
        self.check_open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @classmethod
    def newest_ids(cls, session: Session[Any], kind: Kind, keys: list[str]) -> Mapping[str, Any]:
        """Return the result of :meth:`Session.newest_ids`, read with the storage classes of this backend."""
        if kind is Kind.QUEUE:
            return newest_messages(session, keys)
        slices = cls.timeline_storage_class(backend=session)._get_many_slices(keys, 0, 1, EVERYTHING, True)
        return {key: entries[0][0] for key, entries in slices.items() if entries}


def checked_backend(backend: Any) -> Backend:
    """Return ``backend``. It raises :class:`InvalidTypeError` unless the argument is a backend."""
    if not isinstance(backend, Backend):
        raise InvalidTypeError(f"backend must be the result of feedstore.connect(url), not {shown(backend)}")
    return backend


def backend_of(session: Session[Any]) -> Backend:
    """Return a backend on a session, of the class that made the session's store."""
    backend: Backend = object.__new__(session.backend_class)
    backend.session = session
    return backend
