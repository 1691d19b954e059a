"""Contracts of the repositories, which store queues, listeners, connections and channels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from feedstore.channels.channel import AbstractChannel
from feedstore.channels.connection import Connection, ConnectionsFactory
from feedstore.channels.listener import MessageQueueListener
from feedstore.channels.queue import Queue
from feedstore.channels.rows import KeyValueStorage
from feedstore.errors import ItemNotFound
from feedstore.storage import KvStorage as BackendKvStorage


class KvStorage(ABC):
    """A key-value storage of your own under the shipped repositories: the five methods of eric-sse's ``KvStorage``.

    The storages that ``backend.kv_storage(name)`` returns are instances too, and have more methods.
    """

    @abstractmethod
    def fetch_by_prefix(self, prefix: str) -> Iterable[Any]:
        """Return the values whose keys start with ``prefix``."""

    @abstractmethod
    def fetch_all(self) -> Iterable[Any]:
        """Return every value."""

    @abstractmethod
    def upsert(self, key: str, value: Any) -> None:
        """Insert or replace the value of a key."""

    @abstractmethod
    def fetch_one(self, key: str) -> Any:
        """Return the value of a key. Raises an exception, :class:`ItemNotFound` for instance, if the key is absent."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """Delete a key; an absent key is no error."""


KvStorage.register(BackendKvStorage)  # type: ignore[type-abstract]


class BatchableRepository:
    """The optional part of a repository's contract: its writes can join the batch that saves or deletes a channel."""

    @property
    def storages(self) -> Sequence[KeyValueStorage]:
        """The storages whose writes join a batch; by default none, and each write is carried out immediately.

        A repository that returns its storages here takes ``batch_interface=None`` in :meth:`persist` and
        :meth:`delete`, and passes it to the writes of its storages.
        """
        return ()


class QueueRepositoryInterface(BatchableRepository, ABC):
    """A repository of the queues of connections. Write the abstract methods; :meth:`load_many` is optional."""

    @abstractmethod
    def load(self, connection_id: str) -> Queue:
        """Return the queue of a connection. Raises :class:`ItemNotFound` if there is none."""

    @abstractmethod
    def persist(self, connection_id: str, queue: Queue) -> None:
        """Store the configuration that :meth:`load` makes the queue from, and replace the connection's stored one."""

    @abstractmethod
    def delete(self, connection_id: str) -> None:
        """Delete the queue of a connection with its messages; an absent queue is no error."""

    def load_many(self, connection_ids: Iterable[str]) -> dict[str, Queue]:
        """Return ``{connection id: queue}`` of the stored ones.

        By default one :meth:`load` for each. Override it to load them in a bounded number of round trips, so that a
        channel loads in a bounded number too (C1).
        """
        return dict(_present(self, connection_ids))


class ListenerRepositoryInterface(BatchableRepository, ABC):
    """A repository of the listeners of connections. Write the abstract methods; :meth:`load_many` is optional."""

    @abstractmethod
    def load(self, connection_id: str) -> MessageQueueListener:
        """Return the listener of a connection. Raises :class:`ItemNotFound` if there is none."""

    @abstractmethod
    def persist(self, connection_id: str, listener: MessageQueueListener) -> None:
        """Store the configuration that :meth:`load` makes the listener from, and replace the connection's stored
        one."""

    @abstractmethod
    def delete(self, connection_id: str) -> None:
        """Delete the listener of a connection; an absent listener is no error."""

    def load_many(self, connection_ids: Iterable[str]) -> dict[str, MessageQueueListener]:
        """Return ``{connection id: listener}`` of the stored ones.

        By default one :meth:`load` for each. Override it to load them in a bounded number of round trips, so that a
        channel loads in a bounded number too (C1).
        """
        return dict(_present(self, connection_ids))


class ConnectionRepositoryInterface(BatchableRepository, ABC):
    """A repository of the connections of channels. Write the abstract members; the others are optional."""

    @property
    @abstractmethod
    def queues_repository(self) -> QueueRepositoryInterface:
        """The repository of the connections' queues."""

    @property
    @abstractmethod
    def listeners_repository(self) -> ListenerRepositoryInterface:
        """The repository of the connections' listeners."""

    @abstractmethod
    def load_all(self, channel_id: str) -> Iterable[Connection]:
        """Return the connections of a channel; of an absent channel, none."""

    @abstractmethod
    def load_one(self, channel_id: str, connection_id: str) -> Connection:
        """Return a connection of a channel. Raises :class:`ItemNotFound` if the channel has no such connection."""

    @abstractmethod
    def persist(self, channel_id: str, connection: Connection) -> None:
        """Store a connection, its listener and its queue, and assign the connection to a channel."""

    @abstractmethod
    def delete(self, channel_id: str, connection_id: str) -> None:
        """Delete a connection of a channel with its queue and its listener.

        If the channel has no such connection, nothing happens, and a connection of another channel stays (C2).
        """

    def connection_ids(self, channel_id: str) -> list[str]:
        """Return the ids of the connections that are stored for a channel. By default it loads them."""
        return [connection.id for connection in self.load_all(channel_id)]


class ChannelRepositoryInterface(ABC):
    """A repository of channels, which loads them with their connections."""

    @property
    @abstractmethod
    def connections_factory(self) -> ConnectionsFactory:
        """The factory with which loaded channels make new connections."""

    @property
    @abstractmethod
    def connections_repository(self) -> ConnectionRepositoryInterface:
        """The repository of the channels' connections."""

    @abstractmethod
    def load_all(self) -> Iterable[AbstractChannel]:
        """Return every channel, each with its connections."""

    @abstractmethod
    def load_one(self, channel_id: str) -> AbstractChannel:
        """Return a channel with its connections. Raises :class:`ItemNotFound` if there is none."""

    @abstractmethod
    def persist(self, channel: AbstractChannel) -> None:
        """Store a channel with its connections, and delete the stored connections that it no longer has (C1)."""

    @abstractmethod
    def delete(self, channel_id: str) -> None:
        """Delete a channel with its connections; an absent channel is no error (C2)."""

    @abstractmethod
    def create(self, channel_data: dict[str, Any]) -> AbstractChannel:
        """Return a new channel with these arguments and this repository's connections factory. Stores nothing."""


def _present(repository: Any, connection_ids: Iterable[str]) -> Iterator[tuple[str, Any]]:
    for connection_id in connection_ids:
        with suppress(ItemNotFound):
            yield connection_id, repository.load(connection_id)
