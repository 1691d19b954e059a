"""Repositories of channels over key-value storages."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, Self

from feedstore.channels.channel import AbstractChannel, Channel, SSEChannel
from feedstore.channels.connection import ConnectionsFactory, DurableConnectionsFactory
from feedstore.channels.connection_repository import (
    ConnectionRepository,
    ListenerRepository,
    QueueRepository,
    call_in_batch,
    storages_of,
)
from feedstore.channels.interfaces import ChannelRepositoryInterface, ConnectionRepositoryInterface
from feedstore.channels.rows import KeyValueStorage, RepositoryRows, RowBatch, write_together
from feedstore.errors import InvalidTypeError
from feedstore.shown import shown
from feedstore.storage.backend import Backend


class AbstractChannelRepository(ChannelRepositoryInterface, ABC):
    """Stores channels by id, in any key-value storage; another repository stores their connections.

    Subclasses write :meth:`create` and :meth:`_channel_to_dict`, which make a channel of plain values and plain values
    of a channel. ``name`` separates these rows from others in the same storage. If two repositories store different
    channels in one storage, give them different names, and give their channels different ids.

    A channel is visible when all of it is stored. If the repositories share a backend, saving and deleting are one
    batch, which is atomic within the backend's atomic scope. Otherwise :meth:`persist` writes the connections first,
    then the channel, and deletes the dropped connections last; :meth:`delete` deletes the channel last. So an
    interrupted call can be repeated.

    If two processes save one channel concurrently, the later configuration stays, and the connections are those of one
    process or of both, each whole or not at all. To add a connection to a channel that others save too, persist it in
    :attr:`connections_repository`.
    """

    def __init__(
        self,
        storage: KeyValueStorage,
        connections_repository: ConnectionRepositoryInterface,
        connections_factory: ConnectionsFactory,
        *,
        name: str = "channels",
    ) -> None:
        self._rows = RepositoryRows(storage, name)
        self._connections_repository = connections_repository
        self._connections_factory = connections_factory

    @classmethod
    def on_backend(cls, backend: Backend, name: str = "channels", **queue_options: Any) -> Self:
        """Return a repository with all its rows in ``backend.kv_storage(name)``. Costs nothing.

        New connections get durable queues on the same backend, with the options of ``backend.queue``.
        """
        storage = backend.kv_storage(name)
        connections = ConnectionRepository(storage, ListenerRepository(storage), QueueRepository(storage))
        return cls(storage, connections, DurableConnectionsFactory(backend, **queue_options))

    @property
    def connections_factory(self) -> ConnectionsFactory:
        """The factory with which loaded channels make new connections."""
        return self._connections_factory

    @property
    def connections_repository(self) -> ConnectionRepositoryInterface:
        """The repository of the channels' connections."""
        return self._connections_repository

    @staticmethod
    @abstractmethod
    def _channel_to_dict(channel: Any) -> dict[str, Any]:
        """Return the arguments of a channel as plain values, for :meth:`create`; without the connections factory."""

    def load_all(self) -> Iterator[AbstractChannel]:
        """One scan, and for each channel the costs of loading its connections."""
        for _, channel_data in self._rows.scan():
            yield self._with_connections(self.create(channel_data))

    def load_one(self, channel_id: str) -> AbstractChannel:
        """One round trip, and the costs of ``load_all`` of the connections.

        With the shipped repositories that is four round trips for up to 256 connections (C1).
        """
        return self._with_connections(self.create(self._rows.get(channel_id)))

    def persist(self, channel: AbstractChannel) -> None:
        """One scan of the stored connections, the reads of each dropped connection's deletion, and one batch if the
        repositories share a backend."""
        if not isinstance(channel, AbstractChannel):
            raise InvalidTypeError(f"channel must be an AbstractChannel, not {shown(channel)}")
        channel_data = self._channel_to_dict(channel)
        kept = {connection.id: connection for connection in channel.get_connections()}
        stored = self._connections_repository.connection_ids(channel.id)

        def collect(batch: RowBatch) -> None:
            for connection in kept.values():
                call_in_batch(self._connections_repository, "persist", batch, channel.id, connection)
            self._rows.put(channel_data, channel.id, batch=batch)
            for dropped in set(stored) - kept.keys():
                call_in_batch(self._connections_repository, "delete", batch, channel.id, dropped)

        write_together(self._storages(), collect)

    def delete(self, channel_id: str) -> None:
        """One scan, the reads of each connection's deletion, and one batch if the repositories share a backend."""
        stored = self._connections_repository.connection_ids(channel_id)

        def collect(batch: RowBatch) -> None:
            for connection_id in stored:
                call_in_batch(self._connections_repository, "delete", batch, channel_id, connection_id)
            self._rows.drop(channel_id, batch=batch)

        write_together(self._storages(), collect)

    def _storages(self) -> list[KeyValueStorage]:
        return [self._rows.storage, *storages_of(self._connections_repository)]

    def _with_connections(self, channel: AbstractChannel) -> AbstractChannel:
        for connection in self._connections_repository.load_all(channel.id):
            channel.register_connection(connection)
        return channel


class ChannelRepository(AbstractChannelRepository):
    """A repository of channels of the class :class:`Channel`."""

    def create(self, channel_data: dict[str, Any]) -> Channel:
        """``channel_data`` holds arguments of :class:`Channel`, without ``connections_factory``. Any other name is a
        ``TypeError``."""
        return Channel(**_checked(channel_data), connections_factory=self.connections_factory)

    @staticmethod
    def _channel_to_dict(channel: AbstractChannel) -> dict[str, Any]:
        return {"channel_id": channel.id, "stream_delay_seconds": channel.stream_delay_seconds}


class SSEChannelRepository(AbstractChannelRepository):
    """A repository of channels of the class :class:`SSEChannel`.

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
        raise InvalidTypeError(f"channel_data must be a dict of the channel's arguments, not {shown(channel_data)}")
    if "connections_factory" in channel_data:
        raise InvalidTypeError("channel_data must not name a connections_factory; pass it to the repository")
    return channel_data
