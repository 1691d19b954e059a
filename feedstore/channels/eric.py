"""eric-sse (2.1.1.2) over feedstore's backends: ``pip install "feedstore[eric]"``.

:class:`EricKvStorage` is a storage that eric-sse's own repositories take. What those store themselves are plain
dictionaries. Listeners and queues are kept by repositories that eric-sse leaves to its users; those here keep the name
of a registered class and its configuration, and :class:`EricQueue` is a queue of eric-sse's that lies in a backend.

Give each repository a key-value storage of its own, as below: eric-sse's repositories put no prefix before their keys,
and its channel repository takes everything in its storage for a channel. Its connection repository finds a channel's
connections by the channel's id as a prefix, so no channel's id may begin with another's.

>>> from eric_sse.prefabs import SSEChannelRepository
>>> from eric_sse.repository import ConnectionRepository
>>> from feedstore import connect
>>> from feedstore.channels.eric import (
...     EricConnectionsFactory, EricKvStorage, EricListenerRepository, EricQueueRepository)
>>> backend = connect("memory://")
>>> connections = ConnectionRepository(
...     EricKvStorage(backend.kv_storage("connections")),
...     EricListenerRepository(backend.kv_storage("listeners")),
...     EricQueueRepository(backend.kv_storage("queues")),
... )
>>> channels = SSEChannelRepository(
...     EricKvStorage(backend.kv_storage("channels")), connections, EricConnectionsFactory(backend))
>>> news = channels.create({"channel_id": "news"})
>>> listener = news.add_listener()
>>> channels.persist(news)
>>> [one.listener.id == listener.id for one in channels.load_one("news").get_connections()]
[True]
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

from feedstore.channels.class_registry import ClassRegistry
from feedstore.channels.durable_queue import DurableQueue
from feedstore.channels.message_codec import MessageCodec
from feedstore.errors import InvalidTypeError, ItemNotFound, MissingDriverError, NoMessagesException
from feedstore.shown import shown
from feedstore.storage import Backend, KvStorage, QueueStorage
from feedstore.storage.backend import checked_backend
from feedstore.storage.queue import checked_queue

try:
    from eric_sse.connection import Connection, ConnectionsFactory
    from eric_sse.exception import ItemNotFound as EricItemNotFound
    from eric_sse.exception import NoMessagesException as EricNoMessagesException
    from eric_sse.interfaces import ListenerRepositoryInterface, QueueRepositoryInterface
    from eric_sse.listener import MessageQueueListener
    from eric_sse.message import Message, SignedMessage, UniqueMessage
    from eric_sse.queues import InMemoryQueue, Queue
    from eric_sse.repository import KvStorage as EricStorage
except ImportError as error:
    raise MissingDriverError('eric-sse is not installed; pip install "feedstore[eric]"') from error


class EricKvStorage(EricStorage):  # type: ignore[misc]
    """A key-value storage of ours as the storage of eric-sse's repositories.

    Values are plain ones: anything else is an :class:`InvalidTypeError` that names the key, nothing is pickled. An
    absent key raises eric-sse's own ``ItemNotFound``. Every call costs what it costs on the storage inside.
    """

    def __init__(self, storage: KvStorage) -> None:
        self.storage = _checked_storage(storage)

    def fetch_by_prefix(self, prefix: str) -> Iterator[Any]:
        """Yield the values whose keys start with ``prefix``, in key order."""
        return self.storage.fetch_by_prefix(prefix)

    def fetch_all(self) -> Iterator[Any]:
        """Yield every value, in key order."""
        return self.storage.fetch_all()

    def upsert(self, key: str, value: Any) -> None:
        """Insert or replace the value of ``key``."""
        self.storage.upsert(key, value)

    def fetch_one(self, key: str) -> Any:
        """Return the value of ``key``, or raise eric-sse's ``ItemNotFound``."""
        try:
            return self.storage.fetch_one(key)
        except ItemNotFound as error:
            raise EricItemNotFound(key) from error

    def delete(self, key: str) -> None:
        """Delete ``key``; one that is not there is no error."""
        self.storage.delete(key)


class EricQueue(Queue):  # type: ignore[misc]
    """A queue of eric-sse's whose messages lie in a backend; ``storage`` is what ``backend.queue(name)`` gives.

    ``pop`` acknowledges what it returns, for eric-sse's queues know no receipts: what is lost behind it is lost.
    Messages are eric-sse's ``Message``, ``SignedMessage`` or ``UniqueMessage``, with payloads of plain values.
    """

    _codec = MessageCodec(Message, SignedMessage, UniqueMessage)

    def __init__(self, storage: QueueStorage) -> None:
        self.storage = checked_queue(storage)

    def push(self, message: Any) -> None:
        """One round trip. Raises :class:`QueueFull` where the queue holds as many as it may."""
        self.storage.push(self._codec.encode(message))

    def pop(self) -> Any:
        """Remove the oldest message and return it, or raise eric-sse's ``NoMessagesException``."""
        try:
            return self._codec.decode(self.storage.pop())
        except NoMessagesException as error:
            raise EricNoMessagesException from error


class EricConnectionsFactory(ConnectionsFactory):  # type: ignore[misc]
    """Makes eric-sse's connections with queues in a backend, each named ``eric:<connection id>``.

    The options are those of ``backend.queue``.
    """

    def __init__(self, backend: Backend, **queue_options: Any) -> None:
        self.backend = checked_backend(backend)
        self.backend.queue(**queue_options)
        self._queue_options = queue_options

    def create(self, listener: Any = None) -> Any:
        """Return a connection for ``listener``, or for a new one. Nothing is stored until a message is pushed."""
        connection_id = str(uuid4())
        queue = EricQueue(self.backend.queue(f"eric:{connection_id}", **self._queue_options))
        return Connection(MessageQueueListener() if listener is None else listener, queue, connection_id)


class EricListenerRepository(ListenerRepositoryInterface):  # type: ignore[misc]
    """eric-sse's listeners as the name of their class and their configuration, by the connection's id.

    ``classes`` says which classes there are: eric-sse's ``MessageQueueListener`` alone unless it is given, see
    :func:`eric_listener_classes`. A loaded listener is a new object and is not started.
    """

    def __init__(self, storage: KvStorage, classes: ClassRegistry[Any] | None = None) -> None:
        self._storage = EricKvStorage(storage)
        self._classes = eric_listener_classes() if classes is None else classes

    def load(self, connection_id: str) -> Any:
        """Return the listener, or raise eric-sse's ``ItemNotFound``. One round trip."""
        return self._classes.make(self._storage.fetch_one(connection_id))

    def persist(self, connection_id: str, listener: Any) -> None:
        """Store the listener's configuration. Raises :class:`InvalidTypeError` for a class that is not registered."""
        self._storage.upsert(connection_id, self._classes.describe(listener))

    def delete(self, connection_id: str) -> None:
        """Delete the listener; one that is not there is no error."""
        self._storage.delete(connection_id)


class EricQueueRepository(QueueRepositoryInterface):  # type: ignore[misc]
    """eric-sse's queues as the name of their class and their configuration, by the connection's id.

    ``classes`` says which classes there are: unless it is given, :class:`EricQueue` on the storage's backend, and
    eric-sse's ``InMemoryQueue``, which comes back empty; see :func:`eric_queue_classes`.
    """

    def __init__(self, storage: KvStorage, classes: ClassRegistry[Any] | None = None) -> None:
        self._storage = EricKvStorage(storage)
        self._classes = eric_queue_classes(storage.backend) if classes is None else classes

    def load(self, connection_id: str) -> Any:
        """Return the queue, or raise eric-sse's ``ItemNotFound``. One round trip."""
        return self._classes.make(self._storage.fetch_one(connection_id))

    def persist(self, connection_id: str, queue: Any) -> None:
        """Store the queue's configuration. Raises :class:`InvalidTypeError` for a class that is not registered."""
        self._storage.upsert(connection_id, self._classes.describe(queue))

    def delete(self, connection_id: str) -> None:
        """Delete the queue, with its messages if it is an :class:`EricQueue`; one that is not there is no error."""
        try:
            queue = self.load(connection_id)
        except EricItemNotFound:
            return
        if isinstance(queue, EricQueue):
            queue.storage.flush()
        self._storage.delete(connection_id)


def eric_listener_classes() -> ClassRegistry[Any]:
    """Return a new registry that knows eric-sse's ``MessageQueueListener``; register your own classes with it."""
    classes: ClassRegistry[Any] = ClassRegistry("listener")
    classes.register(MessageQueueListener, lambda listener: {"listener_id": listener.id})
    return classes


def eric_queue_classes(backend: Backend) -> ClassRegistry[Any]:
    """Return a new registry that knows :class:`EricQueue` on a backend, and eric-sse's ``InMemoryQueue``."""
    classes: ClassRegistry[Any] = ClassRegistry("queue")
    classes.register(InMemoryQueue, lambda queue: {})

    def durable(**configuration: Any) -> EricQueue:
        return EricQueue(backend.queue(**configuration))

    classes.register(EricQueue, lambda queue: DurableQueue(queue.storage).configuration(), durable)
    return classes


def _checked_storage(storage: Any) -> KvStorage:
    if not isinstance(storage, KvStorage):
        raise InvalidTypeError(f"storage is what backend.kv_storage(name) gives, not {shown(storage)}")
    return storage
