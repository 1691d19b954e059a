"""Adapters that make a backend the storage of eric-sse (2.1.1.2): ``pip install "feedstore[eric]"``.

:class:`EricKvStorage` is a storage for eric-sse's own repositories, which store plain dictionaries. eric-sse leaves the
repositories of listeners and queues to its users; those here store the name of a registered class and its
configuration. :class:`EricQueue` is an eric-sse queue whose messages are in a backend.

Give each repository its own key-value storage, as below: eric-sse's repositories put no prefix before their keys, and
its channel repository treats every value in its storage as a channel. Its connection repository finds a channel's
connections by the channel's id as a prefix, so no channel's id may begin with another's.

>>> from eric_sse.prefabs import SSEChannelRepository
>>> from eric_sse.repository import ConnectionRepository
>>> from feedstore import connect
>>> from feedstore.compat.eric import (
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
from feedstore.channels.message import MessageCodec
from feedstore.errors import InvalidTypeError, ItemNotFound, MissingDriverError, NoMessagesException
from feedstore.shown import shown
from feedstore.storage import Backend, KvStorage, QueueStorage
from feedstore.storage.backend import backend_of, checked_backend
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
    """A backend's key-value storage as the storage of eric-sse's repositories.

    Values must be plain values: others raise an :class:`InvalidTypeError` that names the key, and nothing is pickled.
    An absent key raises eric-sse's own ``ItemNotFound``. Every call costs the same as on ``storage``.
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
        """Delete ``key``; an absent key is no error."""
        self.storage.delete(key)


class EricQueue(Queue):  # type: ignore[misc]
    """An eric-sse queue whose messages are in a backend; ``storage`` is the result of ``backend.queue(name)``.

    ``pop`` acknowledges the message that it returns, because eric-sse's queues have no receipts. So a crash of the
    consumer after ``pop`` loses the message.
    Messages are eric-sse's ``Message``, ``SignedMessage`` or ``UniqueMessage``, with payloads of plain values.
    """

    _codec = MessageCodec(Message, SignedMessage, UniqueMessage)

    def __init__(self, storage: QueueStorage) -> None:
        self.storage = checked_queue(storage)

    def push(self, message: Any) -> None:
        """One round trip. Raises :class:`QueueFull` if the queue is full."""
        self.storage.push(self._codec.encode(message))

    def pop(self) -> Any:
        """Remove the oldest message and return it, or raise eric-sse's ``NoMessagesException``."""
        try:
            return self._codec.decode(self.storage.pop())
        except NoMessagesException as error:
            raise EricNoMessagesException from error


class EricConnectionsFactory(ConnectionsFactory):  # type: ignore[misc]
    """A factory of eric-sse's connections with queues in a backend, each named ``eric:<connection id>``.

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
    """A repository of eric-sse's listeners, which stores the name of their class and their configuration.

    ``classes`` holds the known classes, by default those of :func:`eric_listener_classes`. A loaded listener is a new
    object and is not started.
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
        """Delete the listener; an absent listener is no error."""
        self._storage.delete(connection_id)


class EricQueueRepository(QueueRepositoryInterface):  # type: ignore[misc]
    """A repository of eric-sse's queues, which stores the name of their class and their configuration.

    ``classes`` holds the known classes, by default those of :func:`eric_queue_classes`: :class:`EricQueue` on the
    storage's backend, and eric-sse's ``InMemoryQueue``, which is empty when it is loaded.
    """

    def __init__(self, storage: KvStorage, classes: ClassRegistry[Any] | None = None) -> None:
        self._storage = EricKvStorage(storage)
        self._classes = eric_queue_classes(backend_of(storage.session)) if classes is None else classes

    def load(self, connection_id: str) -> Any:
        """Return the queue, or raise eric-sse's ``ItemNotFound``. One round trip."""
        return self._classes.make(self._storage.fetch_one(connection_id))

    def persist(self, connection_id: str, queue: Any) -> None:
        """Store the queue's configuration. Raises :class:`InvalidTypeError` for a class that is not registered."""
        self._storage.upsert(connection_id, self._classes.describe(queue))

    def delete(self, connection_id: str) -> None:
        """Delete the queue, with its messages if it is an :class:`EricQueue`; an absent queue is no error."""
        try:
            queue = self.load(connection_id)
        except EricItemNotFound:
            return
        if isinstance(queue, EricQueue):
            queue.storage.flush()
        self._storage.delete(connection_id)


def eric_listener_classes() -> ClassRegistry[Any]:
    """Return a new registry with eric-sse's ``MessageQueueListener``; register your own classes with it."""
    classes: ClassRegistry[Any] = ClassRegistry("listener")
    classes.register(MessageQueueListener, lambda listener: {"listener_id": listener.id})
    return classes


def eric_queue_classes(backend: Backend) -> ClassRegistry[Any]:
    """Return a new registry with :class:`EricQueue` on a backend and with eric-sse's ``InMemoryQueue``."""
    classes: ClassRegistry[Any] = ClassRegistry("queue")
    classes.register(InMemoryQueue, lambda queue: {})

    def durable(**configuration: Any) -> EricQueue:
        return EricQueue(backend.queue(**configuration))

    classes.register(EricQueue, lambda queue: DurableQueue(queue.storage).configuration(), durable)
    return classes


def _checked_storage(storage: Any) -> KvStorage:
    if not isinstance(storage, KvStorage):
        raise InvalidTypeError(f"storage must be the result of backend.kv_storage(name), not {shown(storage)}")
    return storage
