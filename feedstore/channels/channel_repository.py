"""Where channels are kept."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, Self

from feedstore.channels.channel import AbstractChannel, Channel
from feedstore.channels.connection_repository import ConnectionRepository
from feedstore.channels.connections_factory import ConnectionsFactory, DurableConnectionsFactory
from feedstore.channels.interfaces import ChannelRepositoryInterface, ConnectionRepositoryInterface
from feedstore.channels.listener_repository import ListenerRepository
from feedstore.channels.queue_repository import QueueRepository
from feedstore.channels.rows import Rows
from feedstore.channels.sse_channel import SSEChannel
from feedstore.channels.unit_of_work import KeyValueStorage, UnitOfWork
from feedstore.errors import InvalidTypeError
from feedstore.shown import shown
from feedstore.storage.backend import Backend


class AbstractChannelRepository(ChannelRepositoryInterface, ABC):
    """Channels by id, in any key-value storage; their connections lie in a repository of their own.

    Subclasses write :meth:`create` and :meth:`_channel_to_dict`, which say how a channel is made of plain values.
    ``name`` sets these rows apart from others in the same storage: give two repositories of different channels on one
    storage different names, and channels of different ids.

    A channel is visible when all of it is stored. Where the repositories share a backend, saving and deleting are one
    batch, atomic as far as the backend's atomic scope reaches. Elsewhere connections are written first, then the
    channel, and what it dropped is deleted last; deleting takes the channel last. So whoever is interrupted can do it
    again. Of two processes that save one channel at the same time, the configuration is the one that was saved last,
    and the connections are those of one of them or of both, each whole or not at all. To add a connection to a channel
    that others save too, persist it in :attr:`connections_repository`.
    """

    def __init__(
        self,
        storage: KeyValueStorage,
        connections_repository: ConnectionRepositoryInterface,
        connections_factory: ConnectionsFactory,
        *,
        name: str = "channels",
    ) -> None:
        self._rows = Rows(storage, name)
        self._connections_repository = connections_repository
        self._connections_factory = connections_factory

    @classmethod
    def on_backend(cls, backend: Backend, name: str = "channels", **queue_options: Any) -> Self:
        """Return a repository with everything it needs on one backend: ``backend.kv_storage(name)`` keeps all rows, and
        new connections get durable queues, with the options of ``backend.queue``. Costs nothing."""
        storage = backend.kv_storage(name)
        connections = ConnectionRepository(storage, ListenerRepository(storage), QueueRepository(storage))
        return cls(storage, connections, DurableConnectionsFactory(backend, **queue_options))

    @property
    def connections_factory(self) -> ConnectionsFactory:
        """What loaded channels make new connections with."""
        return self._connections_factory

    @property
    def connections_repository(self) -> ConnectionRepositoryInterface:
        """What keeps the channels' connections."""
        return self._connections_repository

    @staticmethod
    @abstractmethod
    def _channel_to_dict(channel: Any) -> dict[str, Any]:
        """Return the arguments of a channel as plain values, for :meth:`create`; without the connections factory."""

    def load_all(self) -> Iterator[AbstractChannel]:
        """One scan, and for each channel what its connections cost."""
        for _, channel_data in self._rows.scan():
            yield self._with_connections(self.create(channel_data))

    def load_one(self, channel_id: str) -> AbstractChannel:
        """One round trip, and what ``load_all`` of the connections costs: four in all for up to 256 connections, with
        the repositories that are shipped (C1)."""
        return self._with_connections(self.create(self._rows.get(channel_id)))

    def persist(self, channel: AbstractChannel) -> None:
        """One scan of the connections that were stored before, and one batch where the repositories share a backend;
        for each connection that was dropped what its deletion reads."""
        if not isinstance(channel, AbstractChannel):
            raise InvalidTypeError(f"a channel repository keeps channels, not {shown(channel)}")
        channel_data = self._channel_to_dict(channel)
        kept = {connection.id: connection for connection in channel.get_connections()}
        stored = self._connections_repository.connection_ids(channel.id)
        with UnitOfWork() as unit:
            connections = self._connections_repository.joining(unit)
            for connection in kept.values():
                connections.persist(channel.id, connection)
            self._rows.joining(unit).put(channel_data, channel.id)
            for dropped in set(stored) - kept.keys():
                connections.delete(channel.id, dropped)

    def delete(self, channel_id: str) -> None:
        """One scan, for each connection what its deletion reads, and one batch where the repositories share a
        backend."""
        stored = self._connections_repository.connection_ids(channel_id)
        with UnitOfWork() as unit:
            connections = self._connections_repository.joining(unit)
            for connection_id in stored:
                connections.delete(channel_id, connection_id)
            self._rows.joining(unit).drop(channel_id)

    def _with_connections(self, channel: AbstractChannel) -> AbstractChannel:
        for connection in self._connections_repository.load_all(channel.id):
            channel.register_connection(connection)
        return channel


class ChannelRepository(AbstractChannelRepository):
    """Keeps channels of the class :class:`Channel`."""

    def create(self, channel_data: dict[str, Any]) -> Channel:
        """``channel_data`` holds arguments of :class:`Channel`, without ``connections_factory``. Any other name is a
        ``TypeError``."""
        return Channel(**_checked(channel_data), connections_factory=self.connections_factory)

    @staticmethod
    def _channel_to_dict(channel: AbstractChannel) -> dict[str, Any]:
        return {"channel_id": channel.id, "stream_delay_seconds": channel.stream_delay_seconds}


class SSEChannelRepository(AbstractChannelRepository):
    """Keeps channels of the class :class:`SSEChannel`.

    >>> from feedstore import connect
    >>> channels = SSEChannelRepository.on_backend(connect("memory://"))
    >>> news = channels.create({"channel_id": "news", "retry_timeout_milliseconds": 3000})
    >>> listener = news.add_listener()
    >>> channels.persist(news)
    >>> [connection.listener.id == listener.id for connection in channels.load_one("news").get_connections()]
    [True]
    """

    def create(self, channel_data: dict[str, Any]) -> SSEChannel:
        """``channel_data`` holds arguments of :class:`SSEChannel`, without ``connections_factory``. Any other name is a
        ``TypeError``."""
        return SSEChannel(**_checked(channel_data), connections_factory=self.connections_factory)

    @staticmethod
    def _channel_to_dict(channel: SSEChannel) -> dict[str, Any]:
        return {
            "channel_id": channel.id,
            "stream_delay_seconds": channel.stream_delay_seconds,
            "retry_timeout_milliseconds": channel.retry_timeout_milliseconds,
        }


def _checked(channel_data: Any) -> dict[str, Any]:
    if not isinstance(channel_data, dict):
        raise InvalidTypeError(f"channel_data is a dictionary of the channel's arguments, not {shown(channel_data)}")
    if "connections_factory" in channel_data:
        raise InvalidTypeError("channel_data names no connections_factory; pass it to the repository")
    return channel_data
