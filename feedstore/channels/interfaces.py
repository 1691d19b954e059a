"""The contracts of the repositories: what keeps queues, listeners, connections and channels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

from feedstore.channels.channel import AbstractChannel
from feedstore.channels.connection import Connection
from feedstore.channels.connections_factory import ConnectionsFactory
from feedstore.channels.listener import MessageQueueListener
from feedstore.channels.queue import Queue
from feedstore.channels.unit_of_work import UnitOfWork
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
        """Return the value of a key. Raises an exception, :class:`ItemNotFound` for instance, if it is absent."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """Delete a key; one that is not there is no error."""


KvStorage.register(BackendKvStorage)  # type: ignore[type-abstract]


class QueueRepositoryInterface(ABC):
    """Keeps the queue of each connection. Write the abstract methods; :meth:`load_many` and :meth:`joining` are
    optional."""

    @abstractmethod
    def load(self, connection_id: str) -> Queue:
        """Return the queue of a connection. Raises :class:`ItemNotFound` if there is none."""

    @abstractmethod
    def persist(self, connection_id: str, queue: Queue) -> None:
        """Store what leads to the queue again, in the place of what was stored for the connection."""

    @abstractmethod
    def delete(self, connection_id: str) -> None:
        """Delete the queue of a connection with what waits in it; one that is not there is no error."""

    def load_many(self, connection_ids: Iterable[str]) -> dict[str, Queue]:
        """Return ``{connection id: queue}`` of those that are there. By default one :meth:`load` for each; in a bounded
        number of round trips where a repository overrides it (C1)."""
        return dict(_present(self, connection_ids))

    def joining(self, unit: UnitOfWork) -> QueueRepositoryInterface:
        """Return the same repository, with writes that are collected in ``unit``; by default itself, which writes at
        once."""
        return self


class ListenerRepositoryInterface(ABC):
    """Keeps the listener of each connection. Write the abstract methods; :meth:`load_many` and :meth:`joining` are
    optional."""

    @abstractmethod
    def load(self, connection_id: str) -> MessageQueueListener:
        """Return the listener of a connection. Raises :class:`ItemNotFound` if there is none."""

    @abstractmethod
    def persist(self, connection_id: str, listener: MessageQueueListener) -> None:
        """Store what makes the listener again, in the place of what was stored for the connection."""

    @abstractmethod
    def delete(self, connection_id: str) -> None:
        """Delete the listener of a connection; one that is not there is no error."""

    def load_many(self, connection_ids: Iterable[str]) -> dict[str, MessageQueueListener]:
        """Return ``{connection id: listener}`` of those that are there. By default one :meth:`load` for each; in a
        bounded number of round trips where a repository overrides it (C1)."""
        return dict(_present(self, connection_ids))

    def joining(self, unit: UnitOfWork) -> ListenerRepositoryInterface:
        """Return the same repository, with writes that are collected in ``unit``; by default itself, which writes at
        once."""
        return self


class ConnectionRepositoryInterface(ABC):
    """Keeps which connections each channel has. Write the abstract members; the others are optional."""

    @property
    @abstractmethod
    def queues_repository(self) -> QueueRepositoryInterface:
        """What keeps the connections' queues."""

    @property
    @abstractmethod
    def listeners_repository(self) -> ListenerRepositoryInterface:
        """What keeps the connections' listeners."""

    @abstractmethod
    def load_all(self, channel_id: str) -> Iterable[Connection]:
        """Return the connections of a channel; of one that is not there, none."""

    @abstractmethod
    def load_one(self, channel_id: str, connection_id: str) -> Connection:
        """Return a connection of a channel. Raises :class:`ItemNotFound` if the channel has no such connection."""

    @abstractmethod
    def persist(self, channel_id: str, connection: Connection) -> None:
        """Store a connection, its listener and its queue, and assign it to a channel."""

    @abstractmethod
    def delete(self, channel_id: str, connection_id: str) -> None:
        """Delete a connection of a channel with its queue and its listener; one that the channel does not have is no
        error, and another channel's is left alone (C2)."""

    def connection_ids(self, channel_id: str) -> list[str]:
        """Return the ids of the connections that are stored for a channel. By default by loading them."""
        return [connection.id for connection in self.load_all(channel_id)]

    def joining(self, unit: UnitOfWork) -> ConnectionRepositoryInterface:
        """Return the same repository, with writes that are collected in ``unit``; by default itself, which writes at
        once."""
        return self


class ChannelRepositoryInterface(ABC):
    """Keeps channels, and loads them with their connections."""

    @property
    @abstractmethod
    def connections_factory(self) -> ConnectionsFactory:
        """What loaded channels make new connections with."""

    @property
    @abstractmethod
    def connections_repository(self) -> ConnectionRepositoryInterface:
        """What keeps the channels' connections."""

    @abstractmethod
    def load_all(self) -> Iterable[AbstractChannel]:
        """Return every channel, each with its connections."""

    @abstractmethod
    def load_one(self, channel_id: str) -> AbstractChannel:
        """Return a channel with its connections. Raises :class:`ItemNotFound` if there is none."""

    @abstractmethod
    def persist(self, channel: AbstractChannel) -> None:
        """Store a channel with its connections. Those that were stored before and that it has no longer are deleted
        (C1)."""

    @abstractmethod
    def delete(self, channel_id: str) -> None:
        """Delete a channel with its connections; one that is not there is no error (C2)."""

    @abstractmethod
    def create(self, channel_data: dict[str, Any]) -> AbstractChannel:
        """Return a new channel with these arguments and this repository's connections factory. Stores nothing."""


def _present(repository: Any, connection_ids: Iterable[str]) -> Iterator[tuple[str, Any]]:
    for connection_id in connection_ids:
        with suppress(ItemNotFound):
            yield connection_id, repository.load(connection_id)
