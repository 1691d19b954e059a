"""Repositories of connections, listeners and queues over key-value storages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from feedstore.channels.class_registry import ClassRegistry, listener_classes, queue_classes
from feedstore.channels.connection import Connection
from feedstore.channels.interfaces import (
    BatchableRepository,
    ConnectionRepositoryInterface,
    ListenerRepositoryInterface,
    QueueRepositoryInterface,
)
from feedstore.channels.listener import MessageQueueListener
from feedstore.channels.queue import Queue
from feedstore.channels.rows import KeyValueStorage, RepositoryRows, RowBatch, write_together
from feedstore.errors import InvalidTypeError, ItemNotFound
from feedstore.shown import shown
from feedstore.storage import Batch, KvStorage
from feedstore.storage.backend import backend_of

_CONNECTIONS_IN_ONE_READ = 1000


class ListenerRepository(ListenerRepositoryInterface):
    """Stores each listener as the name of its class and its configuration, in any key-value storage.

    ``classes`` holds the known classes, by default those of :func:`listener_classes`. A loaded listener is a new
    object, and is not started. ``name`` separates these rows from others in the same storage.
    """

    def __init__(
        self,
        storage: KeyValueStorage,
        classes: ClassRegistry[MessageQueueListener] | None = None,
        *,
        name: str = "listeners",
    ) -> None:
        self._rows = RepositoryRows(storage, name)
        self._classes = listener_classes() if classes is None else classes

    @property
    def storages(self) -> Sequence[KeyValueStorage]:
        """The storage of the listeners."""
        return (self._rows.storage,)

    def load(self, connection_id: str) -> MessageQueueListener:
        """One round trip. Raises :class:`StoredDataError` for a class that is not registered."""
        return self._classes.make(self._rows.get(connection_id))

    def load_many(self, connection_ids: Iterable[str]) -> dict[str, MessageQueueListener]:
        """A bounded number of round trips, as many as ``KvStorage.fetch_many`` makes."""
        rows = self._rows.get_many(connection_ids)
        return {connection_id: self._classes.make(value) for connection_id, value in rows.items()}

    def persist(
        self, connection_id: str, listener: MessageQueueListener, *, batch_interface: Batch | RowBatch | None = None
    ) -> None:
        """One round trip, none in a batch. Raises :class:`InvalidTypeError` for a class that is not registered."""
        self._rows.put(self._classes.describe(listener), connection_id, batch=batch_interface)

    def delete(self, connection_id: str, *, batch_interface: Batch | RowBatch | None = None) -> None:
        """One round trip, none in a batch."""
        self._rows.drop(connection_id, batch=batch_interface)


class QueueRepository(QueueRepositoryInterface):
    """Stores each queue as the name of its class and its configuration, in any key-value storage; never its messages.

    ``classes`` holds the known classes, by default those of :func:`queue_classes`: queues in memory, and durable queues
    on the backend of ``storage`` if it is a backend's storage. ``name`` separates these rows from others in the same
    storage.
    """

    def __init__(
        self, storage: KeyValueStorage, classes: ClassRegistry[Queue] | None = None, *, name: str = "queues"
    ) -> None:
        self._rows = RepositoryRows(storage, name)
        backend = backend_of(storage.session) if isinstance(storage, KvStorage) else None
        self._classes = queue_classes(backend) if classes is None else classes

    @property
    def storages(self) -> Sequence[KeyValueStorage]:
        """The storage of the queues' configurations."""
        return (self._rows.storage,)

    def load(self, connection_id: str) -> Queue:
        """One round trip. Raises :class:`StoredDataError` for a class that is not registered."""
        return self._classes.make(self._rows.get(connection_id))

    def load_many(self, connection_ids: Iterable[str]) -> dict[str, Queue]:
        """A bounded number of round trips, as many as ``KvStorage.fetch_many`` makes."""
        rows = self._rows.get_many(connection_ids)
        return {connection_id: self._classes.make(value) for connection_id, value in rows.items()}

    def persist(self, connection_id: str, queue: Queue, *, batch_interface: Batch | RowBatch | None = None) -> None:
        """One round trip, none in a batch. Raises :class:`InvalidTypeError` for a class that is not registered."""
        self._rows.put(self._classes.describe(queue), connection_id, batch=batch_interface)

    def delete(self, connection_id: str, *, batch_interface: Batch | RowBatch | None = None) -> None:
        """Discard the queue's messages immediately, and then delete its row.

        If a crash interrupts the two, the row still leads to the queue, and it can be deleted again.
        """
        try:
            queue = self.load(connection_id)
        except ItemNotFound:
            return
        queue.discard()
        self._rows.drop(connection_id, batch=batch_interface)


class ConnectionRepository(ConnectionRepositoryInterface):
    """Stores which connections each channel has, in any key-value storage.

    Listeners and queues are stored by repositories of their own. One storage may serve all four repositories, and may
    be a foreign object with the five methods of eric-sse's storages. ``name`` separates these rows from others in the
    same storage.

    A connection exists if its row, its listener and its queue exist. The row is written first and deleted last, so a
    connection whose writing was interrupted does not exist. Its row is removed with its channel, or when the connection
    is deleted again. If the storages are key-value storages of one backend, all writes are one batch, which is atomic
    within the backend's atomic scope.

    The key of a listener and of a queue is the connection's id alone. Channels with a connection of the same id share
    the listener and the queue, which are deleted with the last of these connections.
    """

    def __init__(
        self,
        storage: KeyValueStorage,
        listeners_repository: ListenerRepositoryInterface,
        queues_repository: QueueRepositoryInterface,
        *,
        name: str = "connections",
    ) -> None:
        self._listeners = listeners_repository
        self._queues = queues_repository
        self._rows = RepositoryRows(storage, name)
        self._channels = RepositoryRows(storage, f"channels of {name}")

    @property
    def queues_repository(self) -> QueueRepositoryInterface:
        """The repository of the connections' queues."""
        return self._queues

    @property
    def listeners_repository(self) -> ListenerRepositoryInterface:
        """The repository of the connections' listeners."""
        return self._listeners

    @property
    def storages(self) -> Sequence[KeyValueStorage]:
        """The storages of the connections, the listeners and the queues."""
        return (self._rows.storage, *storages_of(self._listeners), *storages_of(self._queues))

    def load_all(self, channel_id: str) -> Iterator[Connection]:
        """One scan of the channel's rows, and for each 1,000 of them one ``load_many`` of each repository (C1).

        The order is undefined. Connections that other processes are writing or deleting may be left out.
        """
        ids = self.connection_ids(channel_id)
        return (
            connection
            for first in range(0, len(ids), _CONNECTIONS_IN_ONE_READ)
            for connection in self._load(ids[first : first + _CONNECTIONS_IN_ONE_READ])
        )

    def load_one(self, channel_id: str, connection_id: str) -> Connection:
        """Three round trips."""
        self._rows.get(channel_id, connection_id)
        listener = self._listeners.load(connection_id)
        return Connection(listener, self._queues.load(connection_id), connection_id)

    def connection_ids(self, channel_id: str) -> list[str]:
        """One scan. The result includes connections whose writing was interrupted."""
        return [ids[1] for ids, _ in self._rows.scan(channel_id)]

    def persist(
        self, channel_id: str, connection: Connection, *, batch_interface: Batch | RowBatch | None = None
    ) -> None:
        """One batch if the repositories share a backend, else four writes; none in a given batch.

        The method changes no other connection, so processes can persist different connections of one channel
        concurrently.
        """
        if not isinstance(connection, Connection):
            raise InvalidTypeError(f"connection must be a Connection, not {shown(connection)}")

        def collect(batch: Batch | RowBatch) -> None:
            self._rows.put(None, channel_id, connection.id, batch=batch)
            self._channels.put(None, connection.id, channel_id, batch=batch)
            call_in_batch(self._listeners, "persist", batch, connection.id, connection.listener)
            call_in_batch(self._queues, "persist", batch, connection.id, connection.queue)

        self._collect(collect, batch_interface)

    def delete(self, channel_id: str, connection_id: str, *, batch_interface: Batch | RowBatch | None = None) -> None:
        """One scan, one read of the queue, and one batch if the repositories share a backend, else four writes."""
        is_last = {ids[1] for ids, _ in self._channels.scan(connection_id)} <= {channel_id}

        def collect(batch: Batch | RowBatch) -> None:
            if is_last:
                call_in_batch(self._queues, "delete", batch, connection_id)
                call_in_batch(self._listeners, "delete", batch, connection_id)
            self._channels.drop(connection_id, channel_id, batch=batch)
            self._rows.drop(channel_id, connection_id, batch=batch)

        self._collect(collect, batch_interface)

    def _collect(self, collect: Callable[[Batch | RowBatch], None], batch: Batch | RowBatch | None) -> None:
        """Collect writes in the given batch, or in one of their own."""
        if batch is None:
            write_together(self.storages, collect)
        else:
            collect(batch)

    def _load(self, ids: list[str]) -> Iterator[Connection]:
        listeners = self._listeners.load_many(ids)
        queues = self._queues.load_many(listeners)
        whole = (connection_id for connection_id in ids if connection_id in listeners and connection_id in queues)
        return (Connection(listeners[connection_id], queues[connection_id], connection_id) for connection_id in whole)


def storages_of(repository: BatchableRepository) -> Sequence[KeyValueStorage]:
    """Return the storages whose writes join a batch; of a repository that does not know batches, none."""
    return getattr(repository, "storages", ())


def call_in_batch(repository: BatchableRepository, method: str, batch: Batch | RowBatch, *arguments: Any) -> None:
    """Call a writing method of a repository, with the batch if the repository's writes can join one."""
    options = {"batch_interface": batch} if storages_of(repository) else {}
    getattr(repository, method)(*arguments, **options)
