"""Where the connections of channels are kept."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy

from feedstore.channels.connection import Connection
from feedstore.channels.interfaces import (
    ConnectionRepositoryInterface,
    ListenerRepositoryInterface,
    QueueRepositoryInterface,
)
from feedstore.channels.rows import Rows
from feedstore.channels.unit_of_work import KeyValueStorage, UnitOfWork
from feedstore.errors import InvalidTypeError
from feedstore.shown import shown

_LOADED_AT_ONCE = 1000


class ConnectionRepository(ConnectionRepositoryInterface):
    """Which connections each channel has, in any key-value storage; listeners and queues lie in their own repositories.

    One storage may serve all four repositories, and may be somebody else's object with the five methods of
    eric-sse's. ``name`` sets these rows apart from others in the same storage.

    A connection is there when its row, its listener and its queue are. The row is written first and deleted last, so
    what a crash interrupts is not there, and is removed with its channel, or when the connection is deleted again.
    Where the storages are key-value storages of one backend, all is one batch, atomic as far as the backend's atomic
    scope reaches.

    Listeners and queues are kept by the connection's id alone. Channels that have a connection of the same id share
    them, and they are deleted with the last of them.
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
        self._rows = Rows(storage, name)
        self._channels = Rows(storage, f"channels of {name}")
        self._is_joined = False

    @property
    def queues_repository(self) -> QueueRepositoryInterface:
        """What keeps the connections' queues."""
        return self._queues

    @property
    def listeners_repository(self) -> ListenerRepositoryInterface:
        """What keeps the connections' listeners."""
        return self._listeners

    def load_all(self, channel_id: str) -> Iterator[Connection]:
        """One scan of the channel's rows, and for each 1,000 of them one ``load_many`` of each repository (C1).

        Connections come in no particular order. Those that others are writing or deleting meanwhile may be left out.
        """
        ids = self.connection_ids(channel_id)
        return (
            connection
            for first in range(0, len(ids), _LOADED_AT_ONCE)
            for connection in self._load(ids[first : first + _LOADED_AT_ONCE])
        )

    def load_one(self, channel_id: str, connection_id: str) -> Connection:
        """Three round trips."""
        self._rows.get(channel_id, connection_id)
        listener = self._listeners.load(connection_id)
        return Connection(listener, self._queues.load(connection_id), connection_id)

    def connection_ids(self, channel_id: str) -> list[str]:
        """One scan. Also of those whose writing was interrupted."""
        return [ids[1] for ids, _ in self._rows.scan(channel_id)]

    def persist(self, channel_id: str, connection: Connection) -> None:
        """One batch where the repositories share a backend, else four writes. Other connections are left alone, so
        processes that persist different connections of one channel do not disturb each other."""
        if not isinstance(connection, Connection):
            raise InvalidTypeError(f"a connection repository keeps connections, not {shown(connection)}")
        with UnitOfWork() as unit:
            self._joined(unit)._put(channel_id, connection)

    def delete(self, channel_id: str, connection_id: str) -> None:
        """One scan, one read of the queue, and one batch where the repositories share a backend, else four writes."""
        with UnitOfWork() as unit:
            self._joined(unit)._drop(channel_id, connection_id)

    def joining(self, unit: UnitOfWork) -> ConnectionRepository:
        """Writes cost nothing until the unit ends; deletions still read."""
        joined = copy(self)
        joined._listeners, joined._queues = self._listeners.joining(unit), self._queues.joining(unit)
        joined._rows, joined._channels = self._rows.joining(unit), self._channels.joining(unit)
        joined._is_joined = True
        return joined

    def _joined(self, unit: UnitOfWork) -> ConnectionRepository:
        return self if self._is_joined else self.joining(unit)

    def _load(self, ids: list[str]) -> Iterator[Connection]:
        listeners = self._listeners.load_many(ids)
        queues = self._queues.load_many(listeners)
        return (Connection(listeners[one], queues[one], one) for one in ids if one in listeners and one in queues)

    def _put(self, channel_id: str, connection: Connection) -> None:
        self._rows.put(None, channel_id, connection.id)
        self._channels.put(None, connection.id, channel_id)
        self._listeners.persist(connection.id, connection.listener)
        self._queues.persist(connection.id, connection.queue)

    def _drop(self, channel_id: str, connection_id: str) -> None:
        if {ids[1] for ids, _ in self._channels.scan(connection_id)} <= {channel_id}:
            self._queues.delete(connection_id)
            self._listeners.delete(connection_id)
        self._channels.drop(connection_id, channel_id)
        self._rows.drop(channel_id, connection_id)
